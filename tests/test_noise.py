"""Lines of libraries that nobody needs: left out; all others pass."""

import os
import subprocess
import sys

import pytest

from seglib.noise import is_noise

# As TensorFlow 2.21, 2.19 and 2.17 write them, on machines with and without a GPU.
NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795800863.687377   25143 port.cc:153] oneDNN custom operations are on.
I0000 00:00:1795800863.688561   25143 cudart_stub.cc:31] Could not find cuda drivers
I0000 00:00:1795800943.561298   27234 cpu_feature_guard.cc:227] This TensorFlow binary
To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild
E0000 00:00:1795777848.227381   18247 cuda_platform.cc:52] failed call to cuInit
2025-09-17 14:44:05.157831: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:32] Could
2025-09-17 14:44:05.176998: E external/cuda_fft.cc:467] Unable to register cuFFT factory
E0000 00:00:1758131045.203198 3722035 cuda_dnn.cc:8579] Unable to register cuDNN factory
fully_quantize: 0, inference_type: 6, input_inference_type: UINT8
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
Failed to load jax profiler: No module named 'jax'
""".splitlines()
WORDS = """\
F0000 00:00:1795800863.687377   25143 cpu_feature_guard.cc:40] compiled to use AVX
E0000 00:00:1795800863.687377   25143 gpu.cc:1] CUDA_ERROR_ECC_UNCORRECTABLE
Illegal instruction (core dumped)
libcudnn: cannot open shared object file
Traceback (most recent call last):
""".splitlines()


@pytest.mark.parametrize("line", NOISE)
def test_what_tensorflow_says_each_time_is_noise(line):
    assert is_noise(line)


@pytest.mark.parametrize("line", WORDS)
def test_what_it_says_of_a_fault_is_not(line):
    assert not is_noise(line)


def _run(script: str) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False)


def test_the_last_words_of_a_process_that_is_aborted_while_it_loads_are_told():
    lines = "\n".join([*NOISE, *WORDS])
    done = _run(
        "import os\nfrom seglib import noise\n"
        "with noise.filtered_stderr():\n"
        f"    os.write(2, {lines.encode()!r})\n"
        "    os.abort()\n"
    )
    assert done.returncode < 0
    assert done.stderr.splitlines() == list(WORDS)


def test_the_backend_is_loaded_and_used_without_a_word():
    done = _run(
        "import os, sys\nfrom seglib.noise import load_backend\nload_backend()\n"
        "import tensorflow as tf\n"
        "tf.config.list_physical_devices()\n"
        "tf.function(lambda x: x @ x)(tf.zeros([2, 2]))\n"
        "print('said', file=sys.stderr)\nos.write(2, b'written\\n')"
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["said", "written"]


def test_a_model_is_built_in_python_without_a_word():
    done = _run(
        "import seglib\n"
        "seglib.build_model('unet_mini', num_classes=2, image_size=(32, 32))"
    )
    assert done.returncode == 0
    assert done.stderr == ""
