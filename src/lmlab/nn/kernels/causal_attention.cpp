// Causal attention on a CPU, forward and backward, including rotary positions.
//
// Compiled for one head width (-DWIDTH) and for this machine's CPU. A task is one sequence and one
// key/value head: its keys and values are copied once into panels in the layout of the products,
// and its queries are processed in blocks whose scores fit the core's cache. No sum is split across
// threads, so the result does not depend on the number of threads.
//
// Sums, softmax and rotation are float32. Factors of products are 4-byte words along the summed
// dimension: float32 numbers or, for bfloat16 arguments on a CPU that multiplies them, pairs of
// bfloat16. In the second case, attention weights and score gradients are rounded to bfloat16 too.

#include "lanes.h"

#include <cmath>
#include <cstdlib>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

constexpr int ROWS = LANES == 16 ? 8 : 4;                // rows of a product tile
constexpr int PAIR = 2 * LANES;                          // columns of a product tile
constexpr int BLOCK = 32;                                // queries per block of scores
constexpr int PANEL = (WIDTH + PAIR - 1) / PAIR * PAIR;  // head width padded to whole tiles
static_assert(BLOCK % ROWS == 0 && BLOCK % PAIR == 0, "blocks must consist of whole tiles");

static inline Vector broadcast(const float *word) {  // preserves the bits
    int32_t bits;
    std::memcpy(&bits, word, 4);
    return (Vector)(bits + Integers{});
}

static inline Integers lane_indices() {
    Integers indices;
    for (int lane = 0; lane < LANES; ++lane) indices[lane] = lane;
    return indices;
}

// Words of one float32 number: every layout equals the panel.
struct Float32Words {
    static constexpr int PER_WORD = 1;

    static Vector add_product(Vector total, Vector left, Vector right) {
        return total + left * right;
    }
    // Store two vectors, adjacent in a row or in a column, as words along that direction.
    static void pack_along_row(float *to, Vector first, Vector second) {
        store(to, first);
        store(to + LANES, second);
    }
    static void pack_along_column(float *to, int64_t step, Vector upper, Vector lower) {
        store(to, upper);
        store(to + step, lower);
    }
};

#if defined(__AVX512BF16__)
// Words of two bfloat16 numbers that are adjacent along the summed dimension.
struct Bfloat16Pairs {
    static constexpr int PER_WORD = 2;

    static Vector add_product(Vector total, Vector left, Vector right) {
        return (Vector)_mm512_dpbf16_ps((__m512)total, (__m512bh)left, (__m512bh)right);
    }
    static void pack_along_row(float *to, Vector first, Vector second) {
        store(to, (Vector)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
    }
    static void pack_along_column(float *to, int64_t, Vector upper, Vector lower) {
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)upper));
        const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)lower));
        store(to, (Vector)_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
};
typedef Bfloat16Pairs Bfloat16Words;
#else
typedef Float32Words Bfloat16Words;
#endif

template <typename Number> struct WordsOf { typedef Float32Words Type; };
template <> struct WordsOf<Bfloat16> { typedef Bfloat16Words Type; };

// An argument (sequences, heads, tokens, width) with strides; that of the width is 1.
template <typename Number> struct Tensor {
    Number *data;
    int64_t sequence, head, token;

    Tensor(void *pointer, const int64_t *strides)
        : data((Number *)pointer), sequence(strides[0]), head(strides[1]), token(strides[2]) {}

    Number *at(int64_t b, int64_t h, int64_t t) const {
        return data + b * sequence + h * head + t * token;
    }
};

struct Sizes {
    int64_t sequences, heads, groups, tokens;

    int64_t padded() const { return (tokens + BLOCK - 1) / BLOCK * BLOCK; }
    int64_t heads_per_group() const { return heads / groups; }
    float scale() const { return 1.0f / std::sqrt(float(WIDTH)); }
};

// Rotary positions: feature d becomes x[d] cos[d] + x[partner] sin[d], where its partner is half a
// width away. Tables are (tokens, WIDTH), or null for no rotation.
struct Rotation {
    const float *cos, *sin;

    void rotate(float *__restrict x, int64_t token) const {
        if (!cos) return;
        const float *c = cos + token * WIDTH, *s = sin + token * WIDTH;
        constexpr int HALF = WIDTH / 2;
        for (int d = 0; d < HALF; ++d) {
            const float first = x[d], second = x[d + HALF];
            x[d] = first * c[d] + second * s[d];
            x[d + HALF] = second * c[d + HALF] + first * s[d + HALF];
        }
    }

    void rotate_gradient(float *__restrict x, int64_t token) const {
        if (!cos) return;
        const float *c = cos + token * WIDTH, *s = sin + token * WIDTH;
        constexpr int HALF = WIDTH / 2;
        for (int d = 0; d < HALF; ++d) {
            const float first = x[d], second = x[d + HALF];
            x[d] = first * c[d] + second * s[d + HALF];
            x[d + HALF] = second * c[d + HALF] + first * s[d];
        }
    }
};

constexpr Rotation NONE = {nullptr, nullptr};

// Copy tokens from `first` on as float32 to a panel (rows, PANEL), padded with zeros in width and
// past the last token.
template <typename Number>
static void copy_rows(
    float *__restrict to, const Tensor<Number> &from, const Rotation &rotation, int64_t b,
    int64_t h, int64_t first, int64_t rows, int64_t tokens
) {
    for (int64_t row = 0; row < rows; ++row, to += PANEL) {
        const bool exists = first + row < tokens;
        const Number *__restrict values = from.at(b, h, exists ? first + row : 0);
        for (int d = 0; d < WIDTH; ++d) to[d] = exists ? widen(values[d]) : 0.0f;
        for (int d = WIDTH; d < PANEL; ++d) to[d] = 0.0f;
        if (exists) rotation.rotate(to, first + row);
    }
}

template <typename Number>
static void write_rows(
    const Tensor<Number> &to, const Rotation &rotation, int64_t b, int64_t h, int64_t first,
    int64_t rows, int64_t tokens, float *__restrict from, float factor
) {
    for (int64_t row = 0; row < rows && first + row < tokens; ++row, from += PANEL) {
        Number *__restrict values = to.at(b, h, first + row);
        rotation.rotate_gradient(from, first + row);
        for (int d = 0; d < WIDTH; ++d) narrow(from[d] * factor, values[d]);
    }
}

// Pack words along the width: (rows, PANEL / PER_WORD). `to` may equal `from`.
template <typename Words>
static void pack_along_width(float *to, const float *from, int64_t rows) {
    for (int64_t index = 0; index < rows * PANEL; index += PAIR)
        Words::pack_along_row(
            to + index / Words::PER_WORD, load(from + index), load(from + index + LANES)
        );
}

// Pack words along the tokens: (rows / PER_WORD, PANEL).
template <typename Words>
static void pack_along_tokens(float *to, const float *from, int64_t rows) {
    for (int64_t row = 0; row < rows; row += 2)
        for (int d = 0; d < PANEL; d += LANES)
            Words::pack_along_column(
                to + row / Words::PER_WORD * PANEL + d, PANEL, load(from + row * PANEL + d),
                load(from + (row + 1) * PANEL + d)
            );
}

// Transpose (rows, words) to (words, rows).
static void transpose(float *__restrict to, const float *__restrict from, int64_t rows, int words) {
    for (int64_t row = 0; row < rows; row += LANES)
        for (int word = 0; word < words; ++word)
            for (int lane = 0; lane < LANES; ++lane)
                to[word * rows + row + lane] = from[(row + lane) * words + word];
}

// tile += left @ right, for a tile of ROWS x PAIR. `left` is (ROWS, words) with row stride `step`;
// if TRANSPOSED, (words, ROWS) with stride `step` between words.
template <typename Words, bool TRANSPOSED>
static inline __attribute__((always_inline)) void multiply(
    Vector (&tile)[ROWS][2], const float *__restrict left, int64_t step,
    const float *__restrict right, int64_t right_step, int64_t words
) {
    for (int64_t k = 0; k < words; ++k) {
        const Vector first = load(right + k * right_step);
        const Vector second = load(right + k * right_step + LANES);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; ++row) {
            const Vector factor = broadcast(left + (TRANSPOSED ? k * step + row : row * step + k));
            tile[row][0] = Words::add_product(tile[row][0], factor, first);
            tile[row][1] = Words::add_product(tile[row][1], factor, second);
        }
    }
}

// out (rows, PANEL) = left @ right, or += if ADDED, where right is (words, PANEL).
template <typename Words, bool TRANSPOSED, bool ADDED>
static void multiply_panel(
    float *__restrict out, int64_t rows, const float *__restrict left, int64_t step,
    const float *__restrict right, int64_t words
) {
    for (int64_t first = 0; first < rows; first += ROWS)
        for (int column = 0; column < PANEL; column += PAIR) {
            Vector tile[ROWS][2] = {};
            float *to = out + first * PANEL + column;
            if (ADDED)
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row) {
                    tile[row][0] = load(to + row * PANEL);
                    tile[row][1] = load(to + row * PANEL + LANES);
                }
            multiply<Words, TRANSPOSED>(
                tile, TRANSPOSED ? left + first : left + first * step, step, right + column, PANEL,
                words
            );
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; ++row) {
                store(to + row * PANEL, tile[row][0]);
                store(to + row * PANEL + LANES, tile[row][1]);
            }
        }
}

// Set scores of keys later than the query to `value`; `from` is the key of the first lane.
static inline Vector mask_later_keys(Vector scores, int64_t query, int64_t from, float value) {
    return lane_indices() > int32_t(query - from) ? broadcast(value) : scores;
}

template <typename Number> struct Forward {
    typedef typename WordsOf<Number>::Type Words;
    static constexpr int PER_WORD = Words::PER_WORD;

    Sizes sizes;
    Rotation rotation;
    Tensor<Number> q, k, v, output;
    Tensor<float> log_sums;

    int64_t buffer_size() const { return sizes.padded() * (3 * PANEL + BLOCK) + 2 * BLOCK * PANEL; }

    void compute(int64_t b, int64_t g, float *buffer) const {
        const int64_t padded = sizes.padded(), panel = padded * PANEL;
        float *rows = buffer, *keys = rows + panel, *values = keys + panel;
        float *scores = values + panel;
        float *queries = scores + padded * BLOCK, *result = queries + BLOCK * PANEL;
        copy_rows(rows, k, rotation, b, g, 0, padded, sizes.tokens);
        pack_along_width<Words>(rows, rows, padded);
        transpose(keys, rows, padded, PANEL / PER_WORD);
        copy_rows(rows, v, NONE, b, g, 0, padded, sizes.tokens);
        pack_along_tokens<Words>(values, rows, padded);
        for (int64_t h = g * sizes.heads_per_group(); h < (g + 1) * sizes.heads_per_group(); ++h)
            for (int64_t first = 0; first < padded; first += BLOCK) {
                const int64_t num_keys = first + BLOCK;
                copy_rows(queries, q, rotation, b, h, first, BLOCK, sizes.tokens);
                pack_along_width<Words>(queries, queries, BLOCK);
                float peaks[BLOCK], sums[BLOCK];
                score(scores, peaks, queries, keys, first, padded);
                const float factor = sizes.scale() * LOG2_E;
                for (int64_t row = 0; row < BLOCK; ++row) {
                    float *line = scores + row * padded;
                    Vector total = {};
                    peaks[row] *= factor;
                    for (int64_t key = 0; key < num_keys; key += PAIR) {
                        Vector one = power_of_two(load(line + key) * factor - peaks[row]);
                        Vector two = power_of_two(load(line + key + LANES) * factor - peaks[row]);
                        total += one + two;
                        Words::pack_along_row(line + key / PER_WORD, one, two);
                    }
                    sums[row] = sum(total);
                }
                multiply_panel<Words, false, false>(
                    result, BLOCK, scores, padded, values, num_keys / PER_WORD
                );
                for (int64_t row = 0; row < BLOCK && first + row < sizes.tokens; ++row) {
                    write_rows(
                        output, NONE, b, h, first + row, 1, sizes.tokens, result + row * PANEL,
                        1.0f / sums[row]
                    );
                    *log_sums.at(b, h, first + row) = (peaks[row] + std::log2(sums[row])) * LN_2;
                }
            }
    }

    // Compute the scores of a block's queries and the largest score of each query.
    static void score(
        float *scores, float *peaks, const float *queries, const float *keys, int64_t first,
        int64_t padded
    ) {
        Vector maxima[BLOCK];
        for (int row = 0; row < BLOCK; ++row) maxima[row] = broadcast(-INFINITY);
        for (int64_t key = 0; key < first + BLOCK; key += PAIR)
            for (int query = 0; query < BLOCK; query += ROWS) {
                Vector tile[ROWS][2] = {};
                multiply<Words, false>(
                    tile, queries + query * (PANEL / PER_WORD), PANEL / PER_WORD, keys + key,
                    padded, PANEL / PER_WORD
                );
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row)
                    for (int half = 0; half < 2; ++half) {
                        const int64_t from = key + half * LANES;
                        Vector found = tile[row][half], &maximum = maxima[query + row];
                        if (from + LANES > first)
                            found = mask_later_keys(found, first + query + row, from, -INFINITY);
                        maximum = maximum > found ? maximum : found;
                        store(scores + (query + row) * padded + from, found);
                    }
            }
        for (int row = 0; row < BLOCK; ++row) peaks[row] = largest(maxima[row]);
    }
};

template <typename Number> struct Backward {
    typedef typename WordsOf<Number>::Type Words;
    static constexpr int PER_WORD = Words::PER_WORD;

    Sizes sizes;
    Rotation rotation;
    Tensor<Number> gradient, q, k, v, output;
    Tensor<float> log_sums;
    Tensor<Number> dq, dk, dv;

    int64_t buffer_size() const {
        return sizes.padded() * (6 * PANEL + 3 * BLOCK) + 6 * BLOCK * PANEL;
    }

    // Factors and results of the products of a block of queries.
    struct Block {
        const float *keys, *values;    // (PANEL / PER_WORD, tokens)
        float *queries, *upstream;     // packed along the width
        float *weights, *errors;       // packed along the queries, (BLOCK / PER_WORD, tokens)
        float *error_rows;             // packed along the keys, (BLOCK, tokens / PER_WORD)
        float logs[BLOCK], means[BLOCK];
    };

    void compute(int64_t b, int64_t g, float *buffer) const {
        const int64_t padded = sizes.padded(), panel = padded * PANEL, part = BLOCK * PANEL;
        float *rows = buffer, *keys = rows + panel, *values = keys + panel;
        float *key_rows = values + panel, *key_sums = key_rows + panel;
        float *value_sums = key_sums + panel;
        Block block = {keys, values, value_sums + panel, 0, 0, 0, 0, {}, {}};
        block.upstream = block.queries + part;
        float *query_rows = block.upstream + part, *upstream_rows = query_rows + part;
        float *query_words = upstream_rows + part, *result = query_words + part;
        block.weights = result + part;
        block.errors = block.weights + padded * BLOCK;
        // With one number per word, both products can read the same words.
        block.error_rows = PER_WORD == 1 ? block.errors : block.errors + padded * BLOCK;

        copy_rows(rows, k, rotation, b, g, 0, padded, sizes.tokens);
        pack_along_tokens<Words>(key_rows, rows, padded);
        pack_along_width<Words>(rows, rows, padded);
        transpose(keys, rows, padded, PANEL / PER_WORD);
        copy_rows(rows, v, NONE, b, g, 0, padded, sizes.tokens);
        pack_along_width<Words>(rows, rows, padded);
        transpose(values, rows, padded, PANEL / PER_WORD);
        std::memset(key_sums, 0, 2 * panel * sizeof(float));
        for (int64_t h = g * sizes.heads_per_group(); h < (g + 1) * sizes.heads_per_group(); ++h)
            for (int64_t first = 0; first < padded; first += BLOCK) {
                const int64_t num_keys = first + BLOCK;
                copy_rows(result, q, rotation, b, h, first, BLOCK, sizes.tokens);
                pack_along_tokens<Words>(query_rows, result, BLOCK);
                pack_along_width<Words>(block.queries, result, BLOCK);
                copy_rows(result, gradient, NONE, b, h, first, BLOCK, sizes.tokens);
                pack_along_tokens<Words>(upstream_rows, result, BLOCK);
                pack_along_width<Words>(block.upstream, result, BLOCK);
                for (int64_t row = 0; row < BLOCK; ++row) {
                    const bool exists = first + row < sizes.tokens;
                    const int64_t token = exists ? first + row : 0;
                    const Number *__restrict row_output = output.at(b, h, token);
                    block.logs[row] = exists ? *log_sums.at(b, h, token) * LOG2_E : 0.0f;
                    block.means[row] = 0.0f;
                    for (int d = 0; d < WIDTH; ++d)
                        block.means[row] += result[row * PANEL + d] * widen(row_output[d]);
                }
                compute_errors(block, first);
                multiply_panel<Words, true, true>(
                    value_sums, num_keys, block.weights, padded, upstream_rows, BLOCK / PER_WORD
                );
                multiply_panel<Words, true, true>(
                    key_sums, num_keys, block.errors, padded, query_rows, BLOCK / PER_WORD
                );
                multiply_panel<Words, false, false>(
                    result, BLOCK, block.error_rows, padded / PER_WORD, key_rows,
                    num_keys / PER_WORD
                );
                write_rows(
                    dq, rotation, b, h, first, BLOCK, sizes.tokens, result, sizes.scale()
                );
            }
        write_rows(dk, rotation, b, g, 0, padded, sizes.tokens, key_sums, sizes.scale());
        write_rows(dv, NONE, b, g, 0, padded, sizes.tokens, value_sums, 1.0f);
    }

    // Compute a block's attention weights, and the gradients of its scores before scaling.
    void compute_errors(Block &block, int64_t first) const {
        constexpr int WORDS = PANEL / PER_WORD;
        const int64_t padded = sizes.padded();
        const float factor = sizes.scale() * LOG2_E;
        for (int64_t key = 0; key < first + BLOCK; key += PAIR)
            for (int query = 0; query < BLOCK; query += ROWS) {
                Vector tile[ROWS][2] = {}, weights[ROWS][2];
                multiply<Words, false>(
                    tile, block.queries + query * WORDS, WORDS, block.keys + key, padded, WORDS
                );
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row)
                    for (int half = 0; half < 2; ++half) {
                        const int64_t from = key + half * LANES;
                        Vector &found = weights[row][half];
                        found = power_of_two(tile[row][half] * factor - block.logs[query + row]);
                        if (from + LANES > first)
                            found = mask_later_keys(found, first + query + row, from, 0.0f);
                        tile[row][half] = Vector{};
                    }
                multiply<Words, false>(
                    tile, block.upstream + query * WORDS, WORDS, block.values + key, padded, WORDS
                );
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row) {
                    for (int half = 0; half < 2; ++half)
                        tile[row][half] =
                            weights[row][half] * (tile[row][half] - block.means[query + row]);
                    if (PER_WORD > 1)
                        Words::pack_along_row(
                            block.error_rows + ((query + row) * padded + key) / PER_WORD,
                            tile[row][0], tile[row][1]
                        );
                }
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row += 2)
                    for (int half = 0; half < 2; ++half) {
                        const int64_t offset =
                            (query + row) / PER_WORD * padded + key + half * LANES;
                        Words::pack_along_column(
                            block.weights + offset, padded, weights[row][half],
                            weights[row + 1][half]
                        );
                        Words::pack_along_column(
                            block.errors + offset, padded, tile[row][half], tile[row + 1][half]
                        );
                    }
            }
    }
};

// Run all tasks on `threads` threads; return false if memory is insufficient.
template <typename Pass> static bool run(const Pass &pass, int threads) {
    const int64_t tasks = pass.sizes.sequences * pass.sizes.groups;
    bool complete = true;
#pragma omp parallel num_threads(threads) reduction(&& : complete)
    {
        float *buffer = (float *)std::aligned_alloc(64, pass.buffer_size() * sizeof(float));
        complete = buffer != nullptr;
#pragma omp for schedule(static)
        for (int64_t task = 0; task < tasks; ++task)
            if (buffer) pass.compute(task / pass.sizes.groups, task % pass.sizes.groups, buffer);
        std::free(buffer);
    }
    return complete;
}

template <typename Number>
static bool forward(
    const Sizes &sizes, const Rotation &rotation, void **data, const int64_t (*strides)[3],
    int threads
) {
    return run(
        Forward<Number>{
            sizes, rotation, {data[0], strides[0]}, {data[1], strides[1]}, {data[2], strides[2]},
            {data[3], strides[3]}, {data[4], strides[4]}
        },
        threads
    );
}

template <typename Number>
static bool backward(
    const Sizes &sizes, const Rotation &rotation, void **data, const int64_t (*strides)[3],
    int threads
) {
    return run(
        Backward<Number>{
            sizes, rotation, {data[0], strides[0]}, {data[1], strides[1]}, {data[2], strides[2]},
            {data[3], strides[3]}, {data[4], strides[4]}, {data[5], strides[5]},
            {data[6], strides[6]}, {data[7], strides[7]}, {data[8], strides[8]}
        },
        threads
    );
}

// `data` and `strides` are those of q, k, v, output, log_sums.
extern "C" bool attend(
    bool bf16, const Sizes *sizes, const Rotation *rotation, void **data,
    const int64_t (*strides)[3], int threads
) {
    return (bf16 ? forward<Bfloat16> : forward<float>)(*sizes, *rotation, data, strides, threads);
}

// `data` and `strides` are those of the gradient of the output, q, k, v, output, log_sums, and the
// gradients of q, k, v.
extern "C" bool attend_backward(
    bool bf16, const Sizes *sizes, const Rotation *rotation, void **data,
    const int64_t (*strides)[3], int threads
) {
    return (bf16 ? backward<Bfloat16> : backward<float>)(*sizes, *rotation, data, strides, threads);
}
