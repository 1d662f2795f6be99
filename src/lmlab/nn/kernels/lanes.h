// Vectors of float32 numbers, as wide as the processor's own, and numbers of two bytes.

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
    Vector found;
    std::memcpy(&found, from, sizeof found);
    return found;
}

static inline void store(float *to, Vector value) { std::memcpy(to, &value, sizeof value); }

static inline Vector all(float value) { return value - Vector{}; }

static inline float sum(Vector value) {
    float found = 0;
    for (int lane = 0; lane < LANES; ++lane) found += value[lane];
    return found;
}

static inline float largest(Vector value) {
    float found = value[0];
    for (int lane = 1; lane < LANES; ++lane) found = value[lane] > found ? value[lane] : found;
    return found;
}

// 2^x, 0 below the least normal number. x is split into a whole number, which is added to the
// exponent's bits, and a rest in [-1/2, 1/2], whose power is the polynomial that meets 2^x in the
// seven points of Chebyshev, with an error of 2e-8 of its value.
static inline Vector power_of_two(Vector x) {
    const Vector large = all(12582912.0f);  // 1.5 * 2^23: a sum with it has no room for fractions
    Vector shifted = x + large;
    Vector rest = x - (shifted - large);
    Vector power = all(1.546144472e-04f);
    power = power * rest + 1.340042818e-03f;
    power = power * rest + 9.618056678e-03f;
    power = power * rest + 5.550327227e-02f;
    power = power * rest + 2.402265092e-01f;
    power = power * rest + 6.931472067e-01f;
    power = power * rest + 1.0f;
    Vector found = (Vector)((Integers)power + ((Integers)shifted << 23));
    return x >= -126.0f ? found : (x < -126.0f ? all(0.0f) : x);  // what is no number stays none
}

struct Bfloat16 {
    uint16_t bits;
};

static inline float widen(float value) { return value; }

static inline float widen(Bfloat16 value) {
    uint32_t bits = uint32_t(value.bits) << 16;
    float found;
    std::memcpy(&found, &bits, 4);
    return found;
}

static inline void narrow(float value, float &to) { to = value; }

static inline void narrow(float value, Bfloat16 &to) {  // to the nearest, ties to the even one
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    to.bits = uint16_t(value == value ? rounded : 0x7fc0);
}
