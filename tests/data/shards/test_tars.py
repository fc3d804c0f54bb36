import hashlib
import tarfile
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st

from seglib.data.shards.tars import TarSamples, TarWriter


def written(samples):
    file = BytesIO()
    writer = TarWriter(file)
    for number, parts in enumerate(samples):
        named = {f"part{i}": part for i, part in enumerate(parts)}
        writer.add(number, f"a/b.{number} é", named)
    writer.close()
    content = file.getvalue()
    assert writer.sha256 == hashlib.sha256(content).hexdigest()
    assert writer.size_bytes == len(content)
    return content


@given(st.lists(st.tuples(st.binary(max_size=1500), st.binary(max_size=600))))
def test_samples_come_back_as_they_went_in(samples):
    content = written(samples)
    read = TarSamples(bytearray(content), 2)
    assert [tuple(read[i]) for i in range(len(read))] == samples
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        members = [tar.extractfile(member).read() for member in tar]
    assert members == [part for sample in samples for part in sample]


def test_a_file_may_look_like_a_tar_itself():
    inner = written([(b"one", b"two")])
    samples = [(inner, b"mask"), (b"image", inner)]
    read = TarSamples(written(samples), 2)
    assert [tuple(read[i]) for i in range(2)] == samples
