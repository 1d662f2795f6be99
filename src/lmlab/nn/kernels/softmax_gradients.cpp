// Cross-entropy of logits on a CPU: each row's loss, and its gradients in the place of the logits.
//
// Compiled for the processor at hand. A row is widened to float32, worked on and rounded back while
// it is in the core's own cache. No sum is split over threads, so the result does not depend on
// their number.

#include "lanes.h"

#include <cmath>
#include <cstdlib>

struct Sizes {
    int64_t rows, columns;

    int64_t padded() const { return (columns + LANES - 1) / LANES * LANES; }
};

// The loss of one row; its values become `factor` times their gradients. `room` has a padded row.
template <typename Number>
static float replace(
    Number *__restrict values, const Sizes &sizes, int64_t target, float factor,
    float *__restrict room
) {
    const int64_t columns = sizes.columns, padded = sizes.padded();
    for (int64_t column = 0; column < columns; ++column) room[column] = widen(values[column]);
    for (int64_t column = columns; column < padded; ++column) room[column] = -INFINITY;
    Vector most = all(-INFINITY), total = {};
    for (int64_t column = 0; column < padded; column += LANES) {
        const Vector own = load(room + column);
        most = most > own ? most : own;
    }
    const float peak = largest(most), chosen = room[target];
    for (int64_t column = 0; column < padded; column += LANES) {
        const Vector own = power_of_two((load(room + column) - peak) * LOG2_E);
        store(room + column, own);
        total += own;
    }
    const float whole = sum(total), share = factor / whole;
    room[target] -= whole;
    for (int64_t column = 0; column < columns; ++column)
        narrow(room[column] * share, values[column]);
    return std::log(whole) + (peak - chosen);
}

template <typename Number>
static bool run(
    const Sizes &sizes, void *values, const int64_t *targets, float *losses, float factor,
    int threads
) {
    bool complete = true;
#pragma omp parallel num_threads(threads) reduction(&& : complete)
    {
        // As large as needed, in whole lines of 64 bytes.
        float *room = (float *)std::aligned_alloc(64, (sizes.padded() * 4 + 63) / 64 * 64);
        complete = room != nullptr;
#pragma omp for schedule(static)
        for (int64_t row = 0; row < sizes.rows; ++row)
            if (room)
                losses[row] = replace(
                    (Number *)values + row * sizes.columns, sizes, targets[row], factor, room
                );
        std::free(room);
    }
    return complete;
}

// `values` are (rows, columns) without gaps, `targets` below `columns`; false where memory does
// not suffice.
extern "C" bool softmax_gradients(
    bool bf16, const Sizes *sizes, void *values, const int64_t *targets, float *losses,
    float factor, int threads
) {
    return (bf16 ? run<Bfloat16> : run<float>)(*sizes, values, targets, losses, factor, threads);
}
