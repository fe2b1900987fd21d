"""Texts that try to run as a script, a formula or a control sequence wherever they are shown or written out.

Each that could run sets `window.ran`, opens a dialog or asks another host; a page that shows them as text does none of
it. They are invented here, one for each way in that is known to us.
"""

from __future__ import annotations

TEXTS = (
    "<script>window.ran=1</script> Kein Erguss.",
    "<ScRiPt>window.ran=1</sCrIpT> Kein Erguss.",
    "</textarea><script>window.ran=1</script> Herz schlank.",
    "</script><script>window.ran=1</script> Randwinkel frei.",
    "<img src=x onerror=window.ran=1> Pneumothorax links.",
    '"><img src=x onerror="window.ran=1"> Pneumothorax rechts.',
    "'><svg/onload=window.ran=1> Infiltrat basal.",
    "<svg><animate onbegin=window.ran=1 attributeName=x dur=1s> Erguss rechts.",
    "<svg><script>window.ran=1</script></svg> Stauung.",
    "<math><mtext><style><img src=x onerror=window.ran=1></style></mtext></math> Fraktur.",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe> Kein Pneu.",
    "<iframe src='javascript:parent.ran=1'></iframe> Kein Infiltrat.",
    "<object data='javascript:window.ran=1'></object> Kein Rundherd.",
    "<embed src='//evil.invalid/x.swf'> Tubus regelrecht.",
    "<a href='javascript:window.ran=1'>Befund</a> ZVK regelrecht.",
    "[Befund](javascript:window.ran=1) Magensonde regelrecht.",
    "![Bild](http://evil.invalid/p.png) Drainage liegt.",
    "[x]: javascript:window.ran=1\n[x] Kardiomegalie.",
    "<details open ontoggle=window.ran=1>Emphysem</details>",
    "<input autofocus onfocus=window.ran=1> Kein Emphysem.",
    "<video><source onerror=window.ran=1></video> Herz groß.",
    "<body onload=window.ran=1> Lunge frei.",
    "<form action='//evil.invalid/'><button>Weiter</button></form> Kein Ödem.",
    "<meta http-equiv=refresh content='0;url=//evil.invalid/'> Kein Tumor.",
    "<base href='//evil.invalid/'> Kein Herd.",
    "<link rel=stylesheet href='//evil.invalid/x.css'> Rippen intakt.",
    "<style>@import '//evil.invalid/x.css';</style> Sternum intakt.",
    "{{constructor.constructor('window.ran=1')()}} ${window.ran=1} #{window.ran=1} Klavikula intakt.",
    "$$\\href{javascript:window.ran=1}{Erguss}$$ $\\unicode{<img src=x onerror=window.ran=1>}$ Erguss.",
    "&lt;img src=x onerror=window.ran=1&gt; &#60;script&#62;window.ran=1&#60;/script&#62; Erguss fraglich.",
    "\\u003cimg src=x onerror=window.ran=1\\u003e Erguss links.",
    '=HYPERLINK("http://evil.invalid/";"Befund") Erguss.',
    "+cmd|' /C calc'!A0 Pneumothorax.",
    "-2+3 Rundherde.",
    "@SUM(1+1)*cmd|' /C calc'!A0 Herd.",
    "%00%3Cscript%3Ewindow.ran=1%3C/script%3E Kein Herd links.",
    "Befund \u202eTXT.gnp\u202c rechts, \u2066Erguss\u2069 links.",
    "Herd <5 mm & >3 mm, Dichte <b>erhöht</b>, 'fraglich' \"Infiltrat\".",
    "```html\n<script>window.ran=1</script>\n```\nKein Erguss links.",
    "javascript:window.ran=1 data:text/html,<script>parent.ran=1</script> Lunge.",
)
