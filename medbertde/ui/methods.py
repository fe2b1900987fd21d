"""The methods of explanation in plain words, for who wants to choose one.

Pure texts; a test holds them against the methods that there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medbertde.ui.words import Text

DEFAULT_METHOD, DEFAULT_BASELINE = "layer_integrated_gradients", "pad"


@dataclass(frozen=True)
class Named:
    """A choice: its name, and what it does in a line."""

    name: str | Text
    said: Text

    def title(self, language: str) -> str:
        """The name in `language`; most are the same in both."""
        return self.name if isinstance(self.name, str) else self.name.say(language)


METHODS: Mapping[str, Named] = {
    DEFAULT_METHOD: Named(
        "Layer Integrated Gradients",
        Text(
            "Blendet den Befund schrittweise aus einem leeren Text ein und misst, was jedes Wort dabei beiträgt; die "
            "Werte ergeben zusammen die Bewertung. Voreinstellung.",
            "Fades the report in from an empty text and measures what each word adds; the values add up to the score. "
            "The default.",
        ),
    ),
    "gradient_shap": Named(
        "GradientSHAP",
        Text(
            "Wie die Voreinstellung, mit zufällig gewählten Zwischenstufen; die Summe stimmt nur ungefähr.",
            "As the default, with steps drawn at random; the sum is right only roughly.",
        ),
    ),
    "input_x_gradient": Named(
        "Input × Gradient",
        Text(
            "Eine einzige Messung am fertigen Text: schnell, aber grob.",
            "One single measurement at the finished text: quick but coarse.",
        ),
    ),
    "saliency": Named(
        "Saliency",
        Text(
            "Zeigt nur, wie empfindlich die Bewertung auf ein Wort reagiert, nicht ob es dafür oder dagegen spricht.",
            "Only shows how sensitive the score is to a word, not whether it speaks for or against.",
        ),
    ),
    "occlusion": Named(
        Text("Weglassen, Wort für Wort (Occlusion)", "Leaving out word by word (Occlusion)"),
        Text(
            "Verdeckt jedes Wort einzeln und misst, was die Bewertung verliert; Wörter, die dasselbe sagen, verdecken "
            "einander.",
            "Covers each word in turn and measures what the score loses; words that say the same hide each other.",
        ),
    ),
    "occlusion_sentence": Named(
        Text("Weglassen, Satz für Satz (Occlusion)", "Leaving out sentence by sentence (Occlusion)"),
        Text(
            "Verdeckt jeden Satz einzeln; über die Wörter im Satz sagt das nichts.",
            "Covers each sentence in turn; says nothing about the words in it.",
        ),
    ),
    "kernel_shap": Named(
        "KernelSHAP",
        Text(
            "Verdeckt viele zufällige Wortgruppen und teilt den Unterschied gerecht auf die Wörter auf; langsam.",
            "Covers many random groups of words and divides the difference fairly among the words; slow.",
        ),
    ),
    "lime": Named(
        "LIME",
        Text(
            "Ersetzt das Modell in der Nähe dieses Befunds durch eine einfache Rechnung und zeigt deren Gewichte; "
            "langsam und schwankend.",
            "Replaces the model near this report by a simple sum and shows its weights; slow and unsteady.",
        ),
    ),
}
BASELINES: Mapping[str, Named] = {
    DEFAULT_BASELINE: Named(
        Text("Leerer Text", "Empty text"),
        Text("Statt der Wörter stehen Füllzeichen [PAD].", "Padding marks [PAD] stand in place of the words."),
    ),
    "mask": Named(
        Text("Verdeckter Text", "Covered text"),
        Text(
            "Statt der Wörter stehen Lückenzeichen [MASK], wie das Sprachmodell sie beim Lernen gesehen hat.",
            "Gap marks [MASK] stand in place of the words, as the language model saw them in training.",
        ),
    ),
}
WITHOUT_BASELINE = frozenset({"input_x_gradient", "saliency"})  # they look at the text alone
