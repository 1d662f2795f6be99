// Cross-entropy of logits on a CPU: the loss of each row, and its gradients in place of the logits.
//
// Compiled for this machine's CPU. A row is widened to float32, processed and rounded back while it
// is in the core's cache. No sum is split across threads, so the result does not depend on the
// number of threads.

#include "lanes.h"

#include <cmath>
#include <cstdlib>

struct Sizes {
    int64_t rows, columns;

    int64_t padded() const { return (columns + LANES - 1) / LANES * LANES; }
};

// Return the loss of one row and replace its logits by `factor` times their gradients. `buffer`
// holds one padded row.
template <typename Number>
static float replace_row(
    Number *__restrict values, const Sizes &sizes, int64_t target, float factor,
    float *__restrict buffer
) {
    const int64_t columns = sizes.columns, padded = sizes.padded();
    for (int64_t column = 0; column < columns; ++column) buffer[column] = widen(values[column]);
    for (int64_t column = columns; column < padded; ++column) buffer[column] = -INFINITY;
    Vector maxima = broadcast(-INFINITY), totals = {};
    for (int64_t column = 0; column < padded; column += LANES) {
        const Vector value = load(buffer + column);
        maxima = maxima > value ? maxima : value;
    }
    const float peak = largest(maxima), target_logit = buffer[target];
    for (int64_t column = 0; column < padded; column += LANES) {
        const Vector value = power_of_two((load(buffer + column) - peak) * LOG2_E);
        store(buffer + column, value);
        totals += value;
    }
    const float total = sum(totals), scale = factor / total;
    buffer[target] -= total;
    for (int64_t column = 0; column < columns; ++column)
        narrow(buffer[column] * scale, values[column]);
    return std::log(total) + (peak - target_logit);
}

template <typename Number>
static bool run(
    const Sizes &sizes, void *values, const int64_t *targets, float *losses, float factor,
    int threads
) {
    bool complete = true;
#pragma omp parallel num_threads(threads) reduction(&& : complete)
    {
        // Rounded up to whole cache lines of 64 bytes.
        float *buffer = (float *)std::aligned_alloc(64, (sizes.padded() * 4 + 63) / 64 * 64);
        complete = buffer != nullptr;
#pragma omp for schedule(static)
        for (int64_t row = 0; row < sizes.rows; ++row)
            if (buffer)
                losses[row] = replace_row(
                    (Number *)values + row * sizes.columns, sizes, targets[row], factor, buffer
                );
        std::free(buffer);
    }
    return complete;
}

// `values` are contiguous (rows, columns); `targets` are less than `columns`. Return false if
// memory is insufficient.
extern "C" bool softmax_gradients(
    bool bf16, const Sizes *sizes, void *values, const int64_t *targets, float *losses,
    float factor, int threads
) {
    return (bf16 ? run<Bfloat16> : run<float>)(*sizes, values, targets, losses, factor, threads);
}
