"""Counts in XLA's text: one module by hand, one by XLA."""

from benchmarks.hlo_costs import costs, floating_point_operations

OPTIMIZED = """HloModule step

%fused (x: f32[2,3]) -> f32[2,3] {
  %x = f32[2,3]{1,0} parameter(0)
  ROOT %y = f32[2,3]{1,0} add(%x, %x)
}

ENTRY %main (a: f32[2,3], b: bf16[4]) -> (f32[2,3], bf16[4]) {
  %a = f32[2,3]{1,0} parameter(0)
  %b = bf16[4]{0} parameter(1)
  %doubled = f32[2,3]{1,0} fusion(%a), kind=kLoop, calls=%fused
  %product = bf16[4]{0} multiply(%b, %b), metadata={op_name="a/b"}
  ROOT %both = (f32[2,3]{1,0}, bf16[4]{0}) tuple(%doubled, %product)
}
"""


def test_kernels_are_counted_with_the_bytes_that_they_read_and_write():
    # 24 + 24 bytes of the fusion, and 8 + 8 + 8 of the product, which reads b twice.
    assert costs(OPTIMIZED) == (2, 72)


def test_operations_are_those_of_products_and_convolutions():
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def both(x, kernel, matrix):
        y = tf.nn.conv2d(x, kernel, 2, "SAME")
        return tf.matmul(tf.reshape(y, (-1, 6)), matrix)

    compiled = both.experimental_get_compiler_ir(
        tf.zeros((2, 8, 10, 5)), tf.zeros((3, 3, 5, 6)), tf.zeros((6, 7))
    )
    # 2 · 4 · 5 pixels of 6 channels, each of 3 · 3 · 5; 40 rows of 6 times 7.
    expected = 2 * (240 * 45 + 40 * 6 * 7)
    assert floating_point_operations(compiled(stage="hlo")) == expected
    assert costs(compiled(stage="optimized_hlo")).kernels >= 2
