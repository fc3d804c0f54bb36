import pytest
import yaml

from seglib.config import AugmentConfig, Config, TrainConfig
from seglib.errors import UsageError
from seglib.policies import parse_policy, policies, policy_text, policy_title

_DEEP = "[]"
for _ in range(9):
    _DEEP = "[{all_of: {of: %s}}]" % _DEEP  # noqa: UP031 braces are YAML's


def test_a_file_becomes_its_content(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("- hflip: {p: 0.3}\n- rotate: {degrees: [-5, 5]}\n- blur:\n")
    config = AugmentConfig(policy=str(path))
    assert config.policy == policy_text(yaml.safe_load(path.read_text()))
    flip, rotate, blur = parse_policy(config.policy)
    assert (flip.name, flip.p) == ("hflip", 0.3)
    assert (rotate.p, rotate.range) == (0.5, (-5, 5))
    assert blur.range == (0.3, 1.5)
    assert policy_title(config.policy) == "own"
    assert policy_title("light") == "light"


def test_a_policy_may_stand_in_the_configuration(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("train:\n  train_policy:\n  - hflip: {p: 0.3}\n")
    config = Config.load(path)
    assert parse_policy(config.train.train_policy)[0].name == "hflip"
    assert Config.from_flat(config.flat()) == config


@pytest.mark.parametrize("name", policies())
def test_a_printed_policy_can_be_read_again(name, tmp_path):
    path = tmp_path / "printed.yml"
    path.write_text(yaml.safe_dump(policies()[name], default_flow_style=None))
    assert parse_policy(policy_text(str(path))) == parse_policy(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hflip: {p: 2}", r"`\[0\].hflip.p` must be a number from 0 to 1. Received: 2"),
        ("- hflip: {p: .nan}", r"hflip.p` must be .* Received: nan"),
        ("- hflip: {p: yes}", "hflip.p` must be .* Received: True"),
        ("- hflip: {p: '0.5'}", "hflip.p` must be .* Received: '0.5'"),
        ("- hflip: {q: 0.5}", r"Unknown key in `\[0\].hflip`: `q`"),
        ("- hflip: [1]", r"`\[0\].hflip` must be a mapping"),
        ("- hflpi: {}", "Did you mean `hflip`"),
        ("- 7: {}", r"Unknown transform at `\[0\].7`: `7`"),
        ("- hflip", r"`\[0\]` must be one transform such as `hflip: {p: 0.5}`"),
        ("- {hflip: {}, vflip: {}}", r"`\[0\]` must be one transform"),
        ("3", r"`\[0\]` must be one transform .*Received: 3"),
        ("- rotate: {degrees: [5, -5]}", "degrees` must be .* the lower first"),
        ("- rotate: {degrees: [1, 2, 3]}", "degrees` must be a number from -180"),
        ("- rotate: {degrees: []}", "degrees` must be"),
        ("- rotate: {degrees: 999}", "degrees` must be .*Received: 999"),
        ("- rotate: {degree: 9}", "Did you mean `degrees`"),
        ("- scale: {factor: 0}", "factor` must be a number from 0.1 to 10"),
        ("- one_of: {p: 1}", "one_of.of` must be a list"),
        ("- one_of: {of: []}", "one_of.of` must be a transform with p above 0"),
        ("- one_of: {of: [hflip: {p: 0}]}", "with p above 0"),
        ("- one_of: {of: [hflip: {}], n: 2}", "Unknown key in"),
        ("- all_of: {of: [x: {}]}", r"at `\[0\].all_of.of\[0\].x`"),
        (_DEEP, "at most 5 deep"),
        ("\n".join(["- hflip:"] * 101), "at most 100 transforms"),
        ("a: &a [b, &b [c]]\nd: *a\ne: *missing", "my.yaml"),
        ("- hflip: {p: 0.5", "my.yaml"),
        ("!!python/object/apply:os.system [id]", "my.yaml"),
        ("\x00", "my.yaml"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(text, message, tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        AugmentConfig(policy=str(path))
    assert "my.yaml" in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_missing_file_and_a_wrong_name_are_errors(tmp_path):
    with pytest.raises(UsageError, match="none.yaml"):
        TrainConfig(train_policy=str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match="Did you mean `driving`"):
        TrainConfig(train_policy="drivng")
    with pytest.raises(UsageError, match="no JSON"):
        TrainConfig(train_policy="[{")
