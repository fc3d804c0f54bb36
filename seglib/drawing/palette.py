"""The colours of classes that have none of their own."""

from functools import cache

from seglib.arguments import checked

# Of the first ids, from `python -m tools.palette_search 256`: red, green, blue in
# hexadecimal. To append is all that may be done: a class keeps its colour.
_TABLE = bytes.fromhex(
    "9debd86200c4ce4e0aff80ffe2e276891445765889eb1dff89a76c0000ff27f5a7f56c9d"
    "eb9d31624514baeb00ff0abad8003b8900930093c4ffb1f5008045ba9d4e5862d8a70aff"
    "89ce76eb27761dcec4ffce4e4e31b1763162ce149314c427e29d9376b1ffb1624ea7141d"
    "b162b19d76e2809327934e58314ea7936cff80f5934ee2ffba1dd89d450089a7d89dce58"
    "931431ce629dff93ba9393e2890076009376c4ce143b4576457631eb6c626200e2893bba"
    "1d6c58d880896c3be2b1804531623b76d8a7f5ba8089eb4e89760a893193ce62ce890ac4"
    "6276a7d880b1e293e2e24e6cffa7d8b1c445b1ce936cce62eb8976c43162d86cffff0a31"
    "894e767600ff62baa75862a7584eff89ebebc46c898958c4f562ceff45270058276c9d58"
    "ce0acec4893bb15889ebd889b14eeba73b89e28900628958a7ebc44ea7c43b76ebff149d"
    "9de262453ba7930a006c581d9d581de200a7ff809dd8454ec458769dba4e766cbaf5d83b"
    "c458d889ba624593ff6cebb1cea7d8b1313127babac4b1f59d0a76803158e276ebd8c43b"
    "3145c4c4d8766cba80f5a76c890ad893314e6cb14e9d316ca70aeb9d313bd800ba31b13b"
    "89e2c4623193d8a700f5b1ce893127c49dff27b1891d27d8ffb193a7316276d8e2ce004e"
    "930a624e4e00ebb14580c4a7cee2a780802714809376149deb8031b13bebbaba80458062"
    "76a7764500ebb13bb1f58080f50a00a762804e3b8089f5764ea7ebeb6c008014ebff4e6c"
    "4e893bc46c3b809d4ee23127e2c4ffa745273b89d831581d6ccebaa71d45a70a00e29dc4"
    "ba459d930a89e23b936c3bba4ece27cece89586cff8931d89d80b1ba7680c49d1480279d"
    "27e2d831e26cb1eb628980c476313bc42745e23bc49d586c6cbaeb6c4576ba76a79300ba"
    "9d3193e289a76cf5452780ff9d456c009d626227cea7143193459d0a4e89c41d1df5c4f5"
    "ffc49db176bae280d8764ec49d454e5845801dd8ebcea745e2c46c80cea7891d6cba93c4"
    "6c935889274e9d4e80e21d9393ba588093ebba0a9df580ce6c0aba00ff27ce7631ff3b9d"
    "93b1f53193a7c44562b13158"
)
_STEP = 2  # of 255, between the colours of an id and of one 256 later


@cache
def default_colors() -> tuple[tuple[int, int, int], ...]:
    """The colours of all class ids."""
    return tuple(map(class_color, range(4 * len(_TABLE) // 3)))


@checked
def class_color(class_id: int) -> tuple[int, int, int]:
    """The colour of a class: it depends on the id alone, not on the number of classes.

    The nearest two of the first 20 are 32 apart in CIELAB (the distance of CIE 1976),
    and 18 for those who lack one of the three kinds of cones; of the first 150 they are
    8 and 4.8 apart.

    Args:
        class_id: 0 … 1023.

    Returns:
        Red, green and blue, each 0 … 255.

    >>> class_color(0)
    (157, 235, 216)
    """
    turn, place = divmod(class_id, len(_TABLE) // 3)
    shift = _STEP * turn
    parts = _TABLE[3 * place : 3 * place + 3]
    red, green, blue = (p + shift if p < 128 else p - shift for p in parts)
    return red, green, blue
