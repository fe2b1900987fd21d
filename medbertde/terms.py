"""The terms of use that everyone accepts before the first answer, as Markdown in both languages.

Core: page and command line show the same words; a change of meaning raises the version in `services.access`.
"""

DE = (
    "### Bevor Sie beginnen\n\nDiese Werkbank dient der Forschung und der Lehre. Die Modelle irren sich; ihre "
    "Antworten dürfen keine Entscheidung über die Versorgung eines Menschen beeinflussen.\n\n- Ich gebe nur "
    "anonymisierte oder frei erfundene Texte ein.\n- Ich nutze die Antworten nur für Forschung, Lehre und Erprobung.\n"
    "- Für jedes Modell gelten zusätzlich die Bedingungen seiner Modellkarte."
)
EN = (
    "### Before you start\n\nThis workbench is for research and teaching. The models make mistakes; their answers must "
    "not influence the care of any person.\n\n- I enter anonymised or fictional texts only.\n- I use the answers for "
    "research, teaching and trials only.\n- The terms of each model's card apply as well."
)
RESEARCH_ONLY = "Nur für die Forschung, nicht für Diagnostik. / Research use only, not for diagnosis."
