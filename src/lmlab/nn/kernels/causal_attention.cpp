// Causal attention on a CPU, forward and backward, with rotary positions on the way in.
//
// Compiled for one width of a head (-DWIDTH) and for the processor at hand. A task is one sequence
// and one key/value head: its keys and values are copied once into panels, laid out as products
// want them, and its queries pass in blocks whose scores stay in the core's own cache. No sum is
// split over threads, so the result does not depend on their number.
//
// Sums, softmax and rotation are float32. Factors of products are words of four bytes along the
// sum: float32 numbers, or, for bfloat16 arguments where the processor multiplies them, pairs of
// bfloat16, so that attention weights and the gradients of scores are rounded to it as well.

#include "lanes.h"

#include <cmath>
#include <cstdlib>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

constexpr int ROWS = LANES == 16 ? 8 : 4;                // of a tile of a product
constexpr int PAIR = 2 * LANES;                          // its columns
constexpr int BLOCK = 32;                                // queries whose scores exist at a time
constexpr int PANEL = (WIDTH + PAIR - 1) / PAIR * PAIR;  // a head's width in whole tiles
static_assert(BLOCK % ROWS == 0 && BLOCK % PAIR == 0, "a block consists of whole tiles");

static inline Vector all(const float *word) {  // with the bits as they are
    int32_t bits;
    std::memcpy(&bits, word, 4);
    return (Vector)(bits + Integers{});
}

static inline Integers lanes() {
    Integers found;
    for (int lane = 0; lane < LANES; ++lane) found[lane] = lane;
    return found;
}

// Words of one number: every layout is the panel itself.
struct Singles {
    static constexpr int NUMBERS = 1;

    static Vector add_product(Vector total, Vector left, Vector right) {
        return total + left * right;
    }
    // Two vectors that are neighbours in a row, or in a column, as words along that.
    static void lay_along_row(float *to, Vector first, Vector second) {
        store(to, first);
        store(to + LANES, second);
    }
    static void lay_along_column(float *to, int64_t step, Vector upper, Vector lower) {
        store(to, upper);
        store(to + step, lower);
    }
};

#if defined(__AVX512BF16__)
// Words of two numbers that are neighbours along the sum, rounded to bfloat16.
struct Pairs {
    static constexpr int NUMBERS = 2;

    static Vector add_product(Vector total, Vector left, Vector right) {
        return (Vector)_mm512_dpbf16_ps((__m512)total, (__m512bh)left, (__m512bh)right);
    }
    static void lay_along_row(float *to, Vector first, Vector second) {
        store(to, (Vector)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
    }
    static void lay_along_column(float *to, int64_t, Vector upper, Vector lower) {
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)upper));
        const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)lower));
        store(to, (Vector)_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
};
typedef Pairs WordsOfBfloat16;
#else
typedef Singles WordsOfBfloat16;
#endif

template <typename Number> struct WordsOf { typedef Singles Type; };
template <> struct WordsOf<Bfloat16> { typedef WordsOfBfloat16 Type; };

// One of the arguments: (sequences, heads, tokens, width) with strides, the width's being 1.
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
    int64_t shared() const { return heads / groups; }  // query heads of one key/value head
    float scale() const { return 1.0f / std::sqrt(float(WIDTH)); }
};

// Rotary positions: feature d becomes x[d] cos[d] + x[partner] sin[d], its partner being half a
// width away. Tables are (tokens, WIDTH); none for no rotation.
struct Rotation {
    const float *cos, *sin;

    void turn(float *__restrict x, int64_t token) const {
        if (!cos) return;
        const float *c = cos + token * WIDTH, *s = sin + token * WIDTH;
        constexpr int HALF = WIDTH / 2;
        for (int d = 0; d < HALF; ++d) {
            const float first = x[d], second = x[d + HALF];
            x[d] = first * c[d] + second * s[d];
            x[d + HALF] = second * c[d + HALF] + first * s[d + HALF];
        }
    }

    void turn_back(float *__restrict x, int64_t token) const {  // gradients
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

// A panel (rows, PANEL): tokens from `first` as float32, with zeros to the panel's width and behind
// the last token.
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
        if (exists) rotation.turn(to, first + row);
    }
}

template <typename Number>
static void write_rows(
    const Tensor<Number> &to, const Rotation &rotation, int64_t b, int64_t h, int64_t first,
    int64_t rows, int64_t tokens, float *__restrict from, float factor
) {
    for (int64_t row = 0; row < rows && first + row < tokens; ++row, from += PANEL) {
        Number *__restrict values = to.at(b, h, first + row);
        rotation.turn_back(from, first + row);
        for (int d = 0; d < WIDTH; ++d) narrow(from[d] * factor, values[d]);
    }
}

// Words along the width: (rows, PANEL / NUMBERS). Both may be the same memory.
template <typename Words> static void lay_along_width(float *to, const float *from, int64_t rows) {
    for (int64_t place = 0; place < rows * PANEL; place += PAIR)
        Words::lay_along_row(
            to + place / Words::NUMBERS, load(from + place), load(from + place + LANES)
        );
}

// Words along the tokens: (rows / NUMBERS, PANEL).
template <typename Words> static void lay_along_tokens(float *to, const float *from, int64_t rows) {
    for (int64_t row = 0; row < rows; row += 2)
        for (int d = 0; d < PANEL; d += LANES)
            Words::lay_along_column(
                to + row / Words::NUMBERS * PANEL + d, PANEL, load(from + row * PANEL + d),
                load(from + (row + 1) * PANEL + d)
            );
}

// (rows, words) as (words, rows).
static void transpose(float *__restrict to, const float *__restrict from, int64_t rows, int words) {
    for (int64_t row = 0; row < rows; row += LANES)
        for (int word = 0; word < words; ++word)
            for (int lane = 0; lane < LANES; ++lane)
                to[word * rows + row + lane] = from[(row + lane) * words + word];
}

// tile += left @ right for ROWS x PAIR numbers. `left` is (ROWS, words) with rows `step` apart, or,
// transposed, (words, ROWS) with that step from one word of the sum to the next.
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
            const Vector factor = all(left + (TRANSPOSED ? k * step + row : row * step + k));
            tile[row][0] = Words::add_product(tile[row][0], factor, first);
            tile[row][1] = Words::add_product(tile[row][1], factor, second);
        }
    }
}

// out (rows, PANEL) = or += left @ right, where right is (words, PANEL).
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

// A tile of scores whose columns begin at key `from`: `value` where a key is later than the query.
static inline Vector where_later(Vector scores, int64_t query, int64_t from, float value) {
    return lanes() > int32_t(query - from) ? all(value) : scores;
}

template <typename Number> struct Forward {
    typedef typename WordsOf<Number>::Type Words;
    static constexpr int NUMBERS = Words::NUMBERS;

    Sizes sizes;
    Rotation rotation;
    Tensor<Number> q, k, v, mixed;
    Tensor<float> log_sums;

    int64_t room() const { return sizes.padded() * (3 * PANEL + BLOCK) + 2 * BLOCK * PANEL; }

    void compute(int64_t b, int64_t g, float *room) const {
        const int64_t padded = sizes.padded(), panel = padded * PANEL;
        float *rows = room, *keys = rows + panel, *values = keys + panel, *scores = values + panel;
        float *queries = scores + padded * BLOCK, *result = queries + BLOCK * PANEL;
        copy_rows(rows, k, rotation, b, g, 0, padded, sizes.tokens);
        lay_along_width<Words>(rows, rows, padded);
        transpose(keys, rows, padded, PANEL / NUMBERS);
        copy_rows(rows, v, NONE, b, g, 0, padded, sizes.tokens);
        lay_along_tokens<Words>(values, rows, padded);
        for (int64_t h = g * sizes.shared(); h < (g + 1) * sizes.shared(); ++h)
            for (int64_t first = 0; first < padded; first += BLOCK) {
                const int64_t seen = first + BLOCK;
                copy_rows(queries, q, rotation, b, h, first, BLOCK, sizes.tokens);
                lay_along_width<Words>(queries, queries, BLOCK);
                float peaks[BLOCK], sums[BLOCK];
                score(scores, peaks, queries, keys, first, padded);
                const float factor = sizes.scale() * LOG2_E;
                for (int64_t row = 0; row < BLOCK; ++row) {
                    float *line = scores + row * padded;
                    Vector total = {};
                    peaks[row] *= factor;
                    for (int64_t key = 0; key < seen; key += PAIR) {
                        Vector one = power_of_two(load(line + key) * factor - peaks[row]);
                        Vector two = power_of_two(load(line + key + LANES) * factor - peaks[row]);
                        total += one + two;
                        Words::lay_along_row(line + key / NUMBERS, one, two);
                    }
                    sums[row] = sum(total);
                }
                multiply_panel<Words, false, false>(
                    result, BLOCK, scores, padded, values, seen / NUMBERS
                );
                for (int64_t row = 0; row < BLOCK && first + row < sizes.tokens; ++row) {
                    write_rows(
                        mixed, NONE, b, h, first + row, 1, sizes.tokens, result + row * PANEL,
                        1.0f / sums[row]
                    );
                    *log_sums.at(b, h, first + row) = (peaks[row] + std::log2(sums[row])) * LN_2;
                }
            }
    }

    // Products of a block's queries and the keys that they see, and the largest of each query.
    static void score(
        float *scores, float *peaks, const float *queries, const float *keys, int64_t first,
        int64_t padded
    ) {
        Vector most[BLOCK];
        for (int row = 0; row < BLOCK; ++row) most[row] = all(-INFINITY);
        for (int64_t key = 0; key < first + BLOCK; key += PAIR)
            for (int query = 0; query < BLOCK; query += ROWS) {
                Vector tile[ROWS][2] = {};
                multiply<Words, false>(
                    tile, queries + query * (PANEL / NUMBERS), PANEL / NUMBERS, keys + key, padded,
                    PANEL / NUMBERS
                );
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row)
                    for (int half = 0; half < 2; ++half) {
                        const int64_t from = key + half * LANES;
                        Vector found = tile[row][half], &so_far = most[query + row];
                        if (from + LANES > first)
                            found = where_later(found, first + query + row, from, -INFINITY);
                        so_far = so_far > found ? so_far : found;
                        store(scores + (query + row) * padded + from, found);
                    }
            }
        for (int row = 0; row < BLOCK; ++row) peaks[row] = largest(most[row]);
    }
};

template <typename Number> struct Backward {
    typedef typename WordsOf<Number>::Type Words;
    static constexpr int NUMBERS = Words::NUMBERS;

    Sizes sizes;
    Rotation rotation;
    Tensor<Number> gradient, q, k, v, mixed;
    Tensor<float> log_sums;
    Tensor<Number> dq, dk, dv;

    int64_t room() const { return sizes.padded() * (6 * PANEL + 3 * BLOCK) + 6 * BLOCK * PANEL; }

    // What a block of queries is multiplied with, and what comes of it.
    struct Block {
        const float *keys, *values;    // (PANEL / NUMBERS, tokens)
        float *queries, *given;        // along the width
        float *weights, *errors;       // along the queries, (BLOCK / NUMBERS, tokens)
        float *error_rows;             // along the keys, (BLOCK, tokens / NUMBERS)
        float logs[BLOCK], means[BLOCK];
    };

    void compute(int64_t b, int64_t g, float *room) const {
        const int64_t padded = sizes.padded(), panel = padded * PANEL, part = BLOCK * PANEL;
        float *rows = room, *keys = rows + panel, *values = keys + panel;
        float *key_rows = values + panel, *key_sums = key_rows + panel;
        float *value_sums = key_sums + panel;
        Block block = {keys, values, value_sums + panel, 0, 0, 0, 0, {}, {}};
        block.given = block.queries + part;
        float *query_rows = block.given + part, *given_rows = query_rows + part;
        float *query_words = given_rows + part, *result = query_words + part;
        block.weights = result + part;
        block.errors = block.weights + padded * BLOCK;
        // The same words serve both products where a word is one number.
        block.error_rows = NUMBERS == 1 ? block.errors : block.errors + padded * BLOCK;

        copy_rows(rows, k, rotation, b, g, 0, padded, sizes.tokens);
        lay_along_tokens<Words>(key_rows, rows, padded);
        lay_along_width<Words>(rows, rows, padded);
        transpose(keys, rows, padded, PANEL / NUMBERS);
        copy_rows(rows, v, NONE, b, g, 0, padded, sizes.tokens);
        lay_along_width<Words>(rows, rows, padded);
        transpose(values, rows, padded, PANEL / NUMBERS);
        std::memset(key_sums, 0, 2 * panel * sizeof(float));
        for (int64_t h = g * sizes.shared(); h < (g + 1) * sizes.shared(); ++h)
            for (int64_t first = 0; first < padded; first += BLOCK) {
                const int64_t seen = first + BLOCK;
                copy_rows(result, q, rotation, b, h, first, BLOCK, sizes.tokens);
                lay_along_tokens<Words>(query_rows, result, BLOCK);
                lay_along_width<Words>(block.queries, result, BLOCK);
                copy_rows(result, gradient, NONE, b, h, first, BLOCK, sizes.tokens);
                lay_along_tokens<Words>(given_rows, result, BLOCK);
                lay_along_width<Words>(block.given, result, BLOCK);
                for (int64_t row = 0; row < BLOCK; ++row) {
                    const bool exists = first + row < sizes.tokens;
                    const int64_t token = exists ? first + row : 0;
                    const Number *__restrict own = mixed.at(b, h, token);
                    block.logs[row] = exists ? *log_sums.at(b, h, token) * LOG2_E : 0.0f;
                    block.means[row] = 0.0f;
                    for (int d = 0; d < WIDTH; ++d)
                        block.means[row] += result[row * PANEL + d] * widen(own[d]);
                }
                weigh(block, first);
                multiply_panel<Words, true, true>(
                    value_sums, seen, block.weights, padded, given_rows, BLOCK / NUMBERS
                );
                multiply_panel<Words, true, true>(
                    key_sums, seen, block.errors, padded, query_rows, BLOCK / NUMBERS
                );
                multiply_panel<Words, false, false>(
                    result, BLOCK, block.error_rows, padded / NUMBERS, key_rows, seen / NUMBERS
                );
                write_rows(
                    dq, rotation, b, h, first, BLOCK, sizes.tokens, result, sizes.scale()
                );
            }
        write_rows(dk, rotation, b, g, 0, padded, sizes.tokens, key_sums, sizes.scale());
        write_rows(dv, NONE, b, g, 0, padded, sizes.tokens, value_sums, 1.0f);
    }

    // A block's attention weights, and the gradient of its scores before their scale.
    void weigh(Block &block, int64_t first) const {
        constexpr int WORDS = PANEL / NUMBERS;
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
                            found = where_later(found, first + query + row, from, 0.0f);
                        tile[row][half] = Vector{};
                    }
                multiply<Words, false>(
                    tile, block.given + query * WORDS, WORDS, block.values + key, padded, WORDS
                );
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; ++row) {
                    for (int half = 0; half < 2; ++half)
                        tile[row][half] =
                            weights[row][half] * (tile[row][half] - block.means[query + row]);
                    if (NUMBERS > 1)
                        Words::lay_along_row(
                            block.error_rows + ((query + row) * padded + key) / NUMBERS,
                            tile[row][0], tile[row][1]
                        );
                }
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row += 2)
                    for (int half = 0; half < 2; ++half) {
                        const int64_t place =
                            (query + row) / NUMBERS * padded + key + half * LANES;
                        Words::lay_along_column(
                            block.weights + place, padded, weights[row][half],
                            weights[row + 1][half]
                        );
                        Words::lay_along_column(
                            block.errors + place, padded, tile[row][half], tile[row + 1][half]
                        );
                    }
            }
    }
};

// Every task, by `threads` threads; false where memory does not suffice.
template <typename Pass> static bool run(const Pass &pass, int threads) {
    const int64_t tasks = pass.sizes.sequences * pass.sizes.groups;
    bool complete = true;
#pragma omp parallel num_threads(threads) reduction(&& : complete)
    {
        float *room = (float *)std::aligned_alloc(64, pass.room() * sizeof(float));
        complete = room != nullptr;
#pragma omp for schedule(static)
        for (int64_t task = 0; task < tasks; ++task)
            if (room) pass.compute(task / pass.sizes.groups, task % pass.sizes.groups, room);
        std::free(room);
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

// `data` and `strides` of q, k, v, mixed, log_sums; `sizes` are sequences, heads, groups, tokens.
extern "C" bool attend(
    bool bf16, const Sizes *sizes, const Rotation *rotation, void **data,
    const int64_t (*strides)[3], int threads
) {
    return (bf16 ? forward<Bfloat16> : forward<float>)(*sizes, *rotation, data, strides, threads);
}

// `data` and `strides` of mixed's gradient, q, k, v, mixed, log_sums, and of the three gradients.
extern "C" bool attend_backward(
    bool bf16, const Sizes *sizes, const Rotation *rotation, void **data,
    const int64_t (*strides)[3], int threads
) {
    return (bf16 ? backward<Bfloat16> : backward<float>)(*sizes, *rotation, data, strides, threads);
}
