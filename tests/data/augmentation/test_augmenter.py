import json
from concurrent.futures import ThreadPoolExecutor

import albumentations
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglib.data.augmentation.augmenter import Augmenter
from seglib.data.augmentation.colour import recolour
from seglib.data.augmentation.effects import add_effect
from seglib.data.augmentation.geometry import transform_matrix, warp
from seglib.errors import SegError, UsageError
from seglib.policies import policies, policy_text, transforms

MOVES = [name for name, kind in transforms().items() if kind.stage == "move"]

MIXES = [name for name, kind in transforms().items() if kind.stage == "mix"]


def _one(name, ignore_index=255, **options):
    return Augmenter(json.dumps([{name: {"p": 1, **options}}]), ignore_index)


def _seeded(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def photograph():
    """A smooth picture, uint8 (72, 96, 3), whose values keep off 0 and 255."""
    noise = np.random.default_rng(5).uniform(70, 180, (9, 12, 3)).astype(np.float32)
    return cv2.resize(noise, (96, 72), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _pair(size=(48, 64), channels=3, dtype=np.uint8):
    """Blocks of the ids 1, 2 and 3; the picture shows each pixel's id."""
    rows, columns = np.indices(size) // 8
    mask = ((rows + 2 * columns) % 3 + 1).astype(dtype)
    return (mask * 60).astype(np.uint8)[..., None].repeat(channels, 2), mask


def _other(size, channels, dtype):
    pair = _pair(size, channels, dtype)
    return lambda _, rare: (pair, 2 if rare else -1)


@pytest.mark.parametrize("policy", policies())
@pytest.mark.parametrize(
    ("size", "channels", "dtype"),
    [
        ((48, 64), 3, np.uint8),
        ((16, 16), 1, np.uint8),
        ((37, 51), 4, np.uint16),
        ((33, 20), 3, np.uint16),
    ],
)
def test_a_policy_keeps_shapes_and_dtypes_and_makes_no_id(
    policy, size, channels, dtype
):
    image, mask = _pair(size, channels, dtype)
    draw = _other((24, 90), channels, dtype)
    for ignore_index in (250, None):
        augmenter = Augmenter(policy, ignore_index)
        for seed in range(6):
            view, ids = augmenter(image, mask, _seeded(seed), draw)
            assert (view.shape, view.dtype) == (image.shape, np.uint8)
            assert (ids.shape, ids.dtype) == (size, dtype)
            assert set(np.unique(ids)) <= {1, 2, 3, ignore_index}


@pytest.mark.parametrize("policy", policies())
def test_further_inputs_move_with_the_image_and_keep_their_values(policy):
    image, mask = _pair()
    depth = mask[..., None] * 60
    augmenter = Augmenter(policy, 255, {"depth": 1})
    joined = np.concatenate([image, depth], 2)
    for seed in range(8):
        draw = _other((48, 64), 4, np.uint8)
        view, ids = augmenter(joined, mask, _seeded(seed), draw)
        counted = ids != 255
        # Apart from blended borders between the blocks.
        wrong = np.abs(view[..., 3].astype(int) - ids * 60)[counted] > 40
        assert wrong.mean() < 0.25


@pytest.mark.parametrize("name", MOVES)
@given(seed=st.integers(0, 2**31), x=st.integers(20, 120), y=st.integers(20, 80))
@settings(max_examples=15)
def test_a_square_and_its_mask_move_alike(name, seed, x, y):
    """The centre of the bright square is that of its id, to a pixel."""
    image, mask = np.zeros((120, 160, 3), np.uint8), np.zeros((120, 160), np.uint8)
    image[y : y + 20, x : x + 20], mask[y : y + 20, x : x + 20] = 200, 7
    view, ids = _one(name)(image, mask, _seeded(seed))
    weights = view[..., 0].astype(float)
    if (ids == 7).sum() < 30 or weights.sum() < 30 * 200:
        return  # moved out of the picture
    rows, columns = np.indices(mask.shape)
    for axis in (rows, columns):
        there = (axis * weights).sum() / weights.sum()
        assert there == pytest.approx(axis[ids == 7].mean(), abs=1)
    # Where the mask says square, the picture shows it, apart from its blended edge.
    square = np.pad((ids == 7).astype(np.uint8), 2)  # a cut edge may be blended too
    inside = cv2.erode(square, np.ones((5, 5), np.uint8))[2:-2, 2:-2] > 0
    assert (view[inside] > 190).all()


def test_what_a_move_reveals_is_void_and_does_not_swell_any_class():
    mask = np.zeros((90, 120), np.uint8)
    mask[45:] = 1
    image = np.full((90, 120, 3), 99, np.uint8)
    shares = []
    for seed in range(60):
        view, ids = Augmenter("geometric", 255)(image, mask, _seeded(seed))
        assert not view[ids == 255][:, 0].max(initial=0) > 98
        shares.append((ids == 0).sum() / (ids != 255).sum())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("policy", ["strong", "aug_all", "aug_all2", "medical"])
def test_the_seed_alone_decides_in_any_number_of_threads(policy):
    image, mask = _pair()
    augmenter = Augmenter(policy, 255)
    draw = _other((48, 64), 3, np.uint8)

    def bytes_of(seed):
        view, ids = augmenter(image, mask, _seeded(seed), draw)
        return view.tobytes() + ids.tobytes()

    alone = [bytes_of(seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(bytes_of, range(24))] == alone
    assert len(set(alone)) > 12


ORACLES = {
    "hflip": (1, albumentations.HorizontalFlip(p=1), 0),
    "vflip": (1, albumentations.VerticalFlip(p=1), 0),
    "rotate": (9, albumentations.Affine(rotate=(-9, -9), p=1), 2),
    "scale": (1.25, albumentations.Affine(scale=(1.25, 1.25), p=1), 2),
    "stretch": (1.2, albumentations.Affine(scale={"x": (1.2, 1.2)}, p=1), 2),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_move_equals_that_of_albumentations(name, photograph):
    value, oracle, tolerance = ORACLES[name]
    _, mask = _pair((72, 96))
    matrix = transform_matrix(name, value, (72, 96), _seeded())
    view, ids = warp(photograph, mask, matrix, None, 0)
    expected = oracle(image=photograph, mask=mask)
    inner = np.s_[3:-3, 3:-3]  # at a border it blends with the fill
    difference = np.abs(view.astype(int) - expected["image"])[inner]
    assert difference.max() <= tolerance
    assert (ids == expected["mask"])[inner].mean() > 0.99


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shear_equals_that_of_albumentations_pixel_by_pixel(axis, photograph):
    size, (_, mask) = (72, 96), _pair((72, 96))
    drawn = (transform_matrix("shear", 12, size, _seeded(i)) for i in range(9))
    place = (0, 1) if axis == "x" else (1, 0)
    matrix = next(matrix for matrix in drawn if matrix[place])
    still = {"x": (0, 0), "y": (0, 0)}
    oracle = albumentations.Affine(shear={**still, axis: (-12, -12)}, p=1)
    _require_equal(oracle(image=photograph, mask=mask), photograph, mask, matrix)


@pytest.mark.parametrize("seed", range(3))
def test_perspective_equals_that_of_albumentations_by_the_same_matrix(seed, photograph):
    _, mask = _pair((72, 96))
    oracle = albumentations.ReplayCompose([albumentations.Perspective(p=1)])
    oracle.set_random_seed(seed)
    expected = oracle(image=photograph, mask=mask)
    drawn = expected["replay"]["transforms"][0]["params"]
    to_size = np.diag([96 / drawn["max_width"], 72 / drawn["max_height"], 1])
    matrix = to_size @ np.array(drawn["matrix"])
    assert abs(matrix[2, :2]).max() > 1e-5  # no affine move
    _require_equal(expected, photograph, mask, matrix)


@pytest.mark.parametrize("seed", range(3))
def test_elastic_equals_that_of_albumentations_by_the_same_shifts(seed, photograph):
    """Its shifts are smoothed noise, ours cubic between the corners of cells."""
    _, mask = _pair((72, 96))
    oracle = albumentations.ElasticTransform(alpha=60, sigma=6, p=1)
    oracle = albumentations.ReplayCompose([oracle])
    oracle.set_random_seed(seed)
    expected = oracle(image=photograph, mask=mask)
    drawn = expected["replay"]["transforms"][0]["params"]
    rows, columns = np.indices((72, 96), np.float32)
    shift = np.dstack([drawn["map_x"] - columns, drawn["map_y"] - rows])
    assert abs(shift).max() > 2
    _require_equal(expected, photograph, mask, np.eye(3), shift.astype(np.float32))


def _require_equal(expected, image, mask, matrix, shift=None):
    view, ids = warp(image, mask, matrix, shift, 0)
    assert np.abs(view.astype(int) - expected["image"]).max() <= 1
    assert (ids == expected["mask"]).all()


def test_quarter_turns_equal_those_of_albumentations_in_a_square(photograph):
    image, (_, mask) = photograph[:, :72], _pair((72, 72))
    turned = {
        albumentations.D4().apply(image, name).tobytes()
        for name in ("r90", "r180", "r270")
    }
    shown = set()
    for seed in range(12):
        matrix = transform_matrix("rot90", 0, (72, 72), _seeded(seed))
        view, ids = warp(image, mask, matrix, None, 0)
        shown.add(view.tobytes())
        turns = next(k for k in (1, 2, 3) if (np.rot90(image, k) == view).all())
        assert (np.rot90(mask, turns) == ids).all()
    assert shown == turned


def test_several_moves_at_once_equal_one_affine_of_albumentations(photograph):
    size = (72, 96)
    matrix = np.eye(3)
    for name, value in {"scale": 1.3, "rotate": 7}.items():
        matrix = transform_matrix(name, value, size, _seeded()) @ matrix
    matrix = np.array([[1, 0, 5], [0, 1, -4], [0, 0, 1]]) @ matrix
    oracle = albumentations.Affine(
        scale=(1.3, 1.3), rotate=(-7, -7), translate_px={"x": (5, 5), "y": (-4, -4)}
    )
    oracle.p = 1
    view, _ = warp(photograph, np.zeros(size, np.uint8), matrix, None, 0)
    expected = oracle(image=photograph)["image"]
    assert np.abs(view.astype(int) - expected)[3:-3, 3:-3].max() <= 2


@pytest.mark.parametrize("value", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_a_change_of_colour_equals_that_of_albumentations(name, value, photograph):
    still = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1)}
    still |= {"hue": (0, 0), name: (value, value)}
    expected = albumentations.ColorJitter(**still, p=1)(image=photograph)["image"]
    view = recolour(photograph, [(name, value)], _seeded())
    assert np.abs(view.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("power", [0.7, 1.4])
def test_gamma_and_jpeg_equal_those_of_albumentations(power, photograph):
    percent = round(power * 100)
    oracle = albumentations.RandomGamma((percent, percent), p=1)
    expected = oracle(image=photograph)["image"]
    view = recolour(photograph, [("gamma", power)], _seeded())
    assert np.abs(view.astype(int) - expected).max() <= 1
    quality = round(power * 50)
    oracle = albumentations.ImageCompression(
        quality_range=(quality, quality), compression_type="jpeg", p=1
    )
    # It hands RGB to OpenCV, which takes BGR.
    expected = oracle(image=photograph[..., ::-1])["image"][..., ::-1]
    view = add_effect(photograph, "jpeg", quality, _seeded())
    assert np.abs(view.astype(int) - expected).max() <= 1


def test_all_colours_at_once_equal_one_after_the_other(photograph):
    steps = [("brightness", 1.1), ("hue", 12), ("saturation", 0.7), ("contrast", 0.8)]
    fused = recolour(photograph, steps, _seeded())
    one_by_one = photograph
    for step in steps:
        one_by_one = recolour(one_by_one, [step], _seeded())
    assert np.abs(fused.astype(int) - one_by_one).max() <= 3  # rounded once, not thrice


def test_hue_keeps_lightness_and_grey(photograph):
    luma = photograph @ [0.299, 0.587, 0.114]
    turned = recolour(photograph, [("hue", 25)], _seeded())
    assert np.abs(turned @ [0.299, 0.587, 0.114] - luma).max() < 1.5
    assert np.abs(turned.astype(int) - photograph).max() > 5
    grey = photograph[..., :1].repeat(3, 2)
    assert np.abs(recolour(grey, [("hue", 90)], _seeded()).astype(int) - grey).max() < 2


def test_noise_has_its_standard_deviation_and_no_pattern():
    image = np.full((200, 300, 3), 128, np.uint8)
    noise = add_effect(image, "noise", 0.05, _seeded()).astype(float) - 128
    assert noise.std() == pytest.approx(0.05 * 255, rel=0.03)
    assert abs(noise.mean()) < 0.2
    oracle = albumentations.GaussNoise(std_range=(0.05, 0.05), p=1)
    oracle.set_random_seed(0)
    expected = oracle(image=image)["image"].astype(float) - 128
    for power in (2, 4):  # of the normal distribution: 1 and 3
        ours, theirs = (
            (n**power).mean() / (0.05 * 255) ** power for n in (noise, expected)
        )
        assert ours == pytest.approx(theirs, rel=0.15)
    beside = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(beside) < 0.02


@pytest.mark.parametrize("length", [1, 2, 3, 9, 15, 40])
def test_motion_keeps_shape_and_grey_and_blurs_along_one_direction(length):
    image = np.full((41, 41, 1), 100, np.uint8)
    for seed in range(6):
        assert (add_effect(image, "motion", length, _seeded(seed)) == 100).all()
    image[:] = 0
    image[20, 20] = 255
    for seed in range(6):
        view = add_effect(image, "motion", length, _seeded(seed))
        points = np.argwhere(view[..., 0]) - 20.0
        spread = np.linalg.eigvalsh(points.T @ points)
        assert spread[0] <= 1.5 * len(points)  # no wider than a line
        assert np.abs(points).max() <= length / 2 + 2


def test_a_shadow_darkens_and_fog_brightens_a_dark_scene():
    image = np.full((120, 160, 3), 60, np.uint8)
    dark = [add_effect(image, "shadow", 0.5, _seeded(i)) for i in range(10)]
    assert all((view <= 60).all() for view in dark)
    assert sum(view.min() <= 32 for view in dark) > 7
    fog = add_effect(image, "fog", 0.5, _seeded())
    assert fog.min() >= 60
    assert fog[0].mean() > fog[-1].mean() + 10


@pytest.mark.parametrize("name", MIXES)
def test_a_mixture_shows_pixels_of_both_with_their_own_ids(name):
    image, mask = _pair()
    image, mask = np.full_like(image, 10), np.full_like(mask, 9)
    augmenter, shown = _one(name), 0
    for seed in range(10):
        draw = _other((48, 64), 3, np.uint8)
        view, ids = augmenter(image, mask, _seeded(seed), draw)
        assert (view[..., 0] == np.where(ids == 9, 10, ids * 60)).all()
        shown += 0 < (ids == 9).mean() < 1
    assert shown >= 8


def test_copy_paste_pastes_one_whole_object_of_the_drawn_class():
    image, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    other_image, other_mask = image + 5, mask + 1
    for left in (3, 30):
        other_mask[10:16, left : left + 4], other_image[10:16, left : left + 4] = 4, 200
    paste = _one("copy_paste")

    def draw(rng, rare):
        assert rare
        return (other_image, other_mask), 4

    view, ids = paste(image, mask, _seeded(), draw)
    assert (ids == 4).sum() == 6 * 4
    assert set(np.unique(ids)) == {0, 4}
    assert ((view[..., 0] == 200) == (ids == 4)).all()
    assert not mask.any()  # the given pair is as it was


def test_mixing_without_other_pairs_is_an_error():
    with pytest.raises(SegError, match="`mosaic` needs other pairs"):
        _one("mosaic")(*_pair(), _seeded())


def test_two_policies_at_once_do_not_share_their_transforms():
    image, mask = _pair()
    none, photometric = Augmenter("none", 255), Augmenter("photometric", 255)
    changed = [photometric(image, mask, _seeded(i))[0] for i in range(5)]
    assert any((view != image).any() for view in changed)
    assert all((none(image, mask, _seeded(i))[0] == image).all() for i in range(5))


def test_one_of_takes_one_by_its_weight():
    members = [{"hflip": {"p": 0.9}}, {"vflip": {"p": 0.1}}]
    augmenter = Augmenter(json.dumps([{"one_of": {"p": 1, "of": members}}]), 255)
    image, mask = _pair((16, 24))
    views = [augmenter(image, mask, _seeded(i))[1] for i in range(200)]
    mirrored = sum((ids == mask[:, ::-1]).all() for ids in views)
    upset = sum((ids == mask[::-1]).all() for ids in views)
    assert mirrored + upset == 200
    assert 160 < mirrored < 195


def test_a_transform_of_albumentations_moves_mask_and_inputs_and_reveals_void():
    augmenter = Augmenter(
        '[{"Affine": {"p": 1, "rotate": [30, 30]}}]', 255, {"depth": 1}
    )
    image, mask = _pair()
    joined = np.concatenate([image, mask[..., None] * 60], 2)
    view, ids = augmenter(joined, mask, _seeded())
    assert 0.1 < (ids == 255).mean() < 0.6
    wrong = np.abs(view[..., 3].astype(int) - ids * 60)[ids != 255] > 40
    assert wrong.mean() < 0.2
    mirrored = Augmenter('[{"Affine": {"p": 1, "rotate": [30, 30]}}]', None)
    assert set(np.unique(mirrored(image, mask, _seeded())[1])) == {1, 2, 3}


def test_a_compose_of_albumentations_is_a_policy():
    compose = albumentations.Compose(
        [albumentations.HorizontalFlip(p=0.5), albumentations.GaussNoise(p=1)]
    )
    text = policy_text(compose)
    augmenter = Augmenter(text, 255)
    image, mask = _pair()
    first, again = (augmenter(image, mask, _seeded(3)) for _ in range(2))
    assert (first[0] == again[0]).all()
    assert (first[0] != image).any()
    seen = {augmenter(image, mask, _seeded(i))[1].tobytes() for i in range(12)}
    assert seen == {mask.tobytes(), mask[:, ::-1].tobytes()}


def test_a_policy_of_ones_own_that_makes_an_id_or_a_size_is_refused():
    image, mask = _pair()
    filled = Augmenter(
        policy_text(albumentations.Compose([albumentations.Affine(rotate=40, p=1)])),
        255,
    )
    with pytest.raises(SegError, match="makes the id 0, which the mask had not"):
        filled(image, mask, _seeded())
    half = Augmenter(lambda image, mask, _: (image[::2], mask[::2]), 255)
    with pytest.raises(SegError, match="must keep shape and dtype"):
        half(image, mask, _seeded())


def test_a_transform_that_refuses_grey_images_is_named():
    with pytest.raises(SegError, match="ChannelShuffle|RandomFog"):
        _one("RandomFog")(*_pair(channels=1), _seeded())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([{"Affin": {}}], r"Unknown transform at `\[0\].Affin`.*Did you mean `Affine`"),
        ([{"Affine": {"rotat": 3}}], r"`\[0\].Affine` must have arguments of"),
        ([{"GaussianBlur": {"blur_limit": "x"}}], "blur_limit"),
    ],
)
def test_what_albumentations_does_not_take_is_named_before_the_work(tree, message):
    with pytest.raises(UsageError, match=message):
        Augmenter(json.dumps(tree), 255)
