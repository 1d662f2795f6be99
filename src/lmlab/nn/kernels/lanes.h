// Vectors of float32 numbers, as wide as the CPU supports, and bfloat16 numbers.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
constexpr float LOG2_E = 1.44269504088896340736f, LN_2 = 0.69314718055994530942f;

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));

static inline Vector load(const float *from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

static inline void store(float *to, Vector value) { std::memcpy(to, &value, sizeof value); }

static inline Vector broadcast(float value) { return value - Vector{}; }

static inline float sum(Vector value) {
    float total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += value[lane];
    return total;
}

static inline float largest(Vector value) {
    float maximum = value[0];
    for (int lane = 1; lane < LANES; ++lane)
        maximum = value[lane] > maximum ? value[lane] : maximum;
    return maximum;
}

// 2^x, flushed to 0 below the smallest normal number. x is split into an integer, which is added to
// the exponent bits, and a fraction in [-1/2, 1/2], whose power is a polynomial that interpolates
// 2^x at the seven Chebyshev nodes with a relative error of 2e-8.
static inline Vector power_of_two(Vector x) {
    const Vector large = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    Vector shifted = x + large;
    Vector fraction = x - (shifted - large);
    Vector power = broadcast(1.546144472e-04f);
    power = power * fraction + 1.340042818e-03f;
    power = power * fraction + 9.618056678e-03f;
    power = power * fraction + 5.550327227e-02f;
    power = power * fraction + 2.402265092e-01f;
    power = power * fraction + 6.931472067e-01f;
    power = power * fraction + 1.0f;
    Vector result = (Vector)((Integers)power + ((Integers)shifted << 23));
    return x >= -126.0f ? result : (x < -126.0f ? broadcast(0.0f) : x);  // NaN stays NaN
}

struct Bfloat16 {
    uint16_t bits;
};

static inline float widen(float value) { return value; }

static inline float widen(Bfloat16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
}

static inline void narrow(float value, float &to) { to = value; }

static inline void narrow(float value, Bfloat16 &to) {  // round to nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    to.bits = uint16_t(value == value ? rounded : 0x7fc0);
}
