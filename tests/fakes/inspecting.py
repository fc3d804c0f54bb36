"""A pair that is looked at as a verification looks at it, alone."""

from seglib.data.pairs import Pair
from seglib.data.verification.file_checks import IMAGE, MASK
from seglib.data.verification.packing import Part
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.reading import Files
from seglib.data.verification.split_facts import SplitFacts


def inspected(files: Files, pair: Pair) -> Inspection:
    part = Part()
    looks = files.look([(pair.image, IMAGE), (pair.mask, MASK)])
    for look in looks:
        part.append(look.facts)
    files.store(looks)
    facts = SplitFacts([pair], [], part, 0)
    assert facts.suspicious()[0] or not facts[0].problems
    return facts[0]
