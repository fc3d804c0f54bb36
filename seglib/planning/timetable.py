"""How long to train: epochs and validations that fit a budget of minutes."""

from dataclasses import dataclass

from seglib.errors import UsageError
from seglib.planning.fingerprint import Fingerprint
from seglib.planning.measuring import Measured
from seglib.planning.rules import Choice

_USED = 0.9  # of the budget: steps beside other work take longer
_VALIDATING = 0.1  # of the budget, at most
_LEAST_STEPS = 20  # with fewer there is nothing to see
_MOST_PASSES = 200  # over the images; CamVid's recipes take 28 and 42
_ALWAYS_ALLOWED = 1000  # steps, however few the images are
_SHORT_EPOCH, _EPOCHS = 20, 5  # steps; epochs at least


@dataclass(frozen=True)
class Timetable:
    """How long a training is, and the minutes that it is expected to take."""

    choices: tuple[Choice, ...]
    minutes: float


def plan_time(facts: Fingerprint, measured: Measured, minutes: float) -> Timetable:
    """Epochs and validations for a budget.

    Raises:
        UsageError: the budget ends before anything is learnt.
    """
    batch, images = measured.batch_size, facts.images("train")
    step_s, look_s = measured.step_s, measured.validation_s
    budget_s = _USED * 60 * minutes - measured.start_s - look_s
    if budget_s < _LEAST_STEPS * step_s:
        raise _too_short(measured, minutes)
    affordable = int((1 - _VALIDATING) * budget_s / step_s)
    enough = max(_ALWAYS_ALLOWED, _MOST_PASSES * images // batch)
    epoch, why_epoch = _steps_per_epoch(images // batch, min(affordable, enough))
    epochs = max(1, min(affordable, enough) // epoch)
    why = f"{minutes:g} minutes at {step_s:.3g} s a step"
    if batch * measured.load_s > step_s / 2:
        why += ", most of it to load images: smaller files would help"
    if enough < affordable:
        passes = epochs * epoch * batch / images
        why = f"each image {passes:,.0f} times: the most that is planned; not measured"
    choices = [Choice("epochs", epochs, why)]
    if why_epoch:
        choices.append(Choice("steps_per_epoch", epoch, why_epoch))
    why = "should steps take longer than measured, the training still ends in time"
    choices.append(Choice("max_minutes", float(minutes), why))
    looks = 0
    if look_s:
        affordable_looks = max(1, int(_VALIDATING * budget_s / look_s))
        every = -(-epochs // affordable_looks)
        looks = -(-epochs // every)
        why = f"epochs; {look_s:.2g} s each, at most a tenth of the time"
        choices.append(Choice("validate_every", every, why))
    total_s = measured.start_s + epochs * epoch * step_s + looks * look_s
    return Timetable(tuple(choices), total_s / 60)


def _steps_per_epoch(one_pass: int, steps: int) -> tuple[int, str]:
    """Steps of an epoch, and why they are not those of one pass; "" where they are."""
    one_pass = max(1, one_pass)
    if one_pass > max(1, steps // _EPOCHS):
        why = f"one pass has {one_pass:,}: there would be no epoch to choose from"
        return max(1, steps // _EPOCHS), why
    if one_pass < _SHORT_EPOCH and steps > _SHORT_EPOCH * _EPOCHS:
        why = f"one pass has {one_pass}: too short to validate after each"
        return _SHORT_EPOCH, why
    return one_pass, ""


def _too_short(measured: Measured, minutes: float) -> UsageError:
    needed_s = _LEAST_STEPS * measured.step_s + measured.start_s + measured.validation_s
    return UsageError(
        f"`--minutes` must be ≥ {needed_s / _USED / 60 + 0.05:.1f} on this machine: it "
        f"takes {measured.start_s:.0f} s to start, {measured.step_s:.2f} s a step and "
        f"{measured.validation_s:.0f} s to validate. Received: {minutes:g}."
    )
