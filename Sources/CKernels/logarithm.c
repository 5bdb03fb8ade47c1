// The natural logarithm for log-sum-exp: one value per row, so plain double arithmetic, the same on every level.
#include "common.h"

float ck_add_logarithm(float base, float sum) {
    if (!(sum > 0) || sum == INFINITY) { return sum == 0 ? -INFINITY : sum > 0 ? INFINITY : NAN; }
    int exponent;
    double m = frexp((double)sum, &exponent);  // 0.5 ≤ m < 1, exact
    if (m < 0.70710678118654752) { m *= 2, exponent -= 1; }
    // ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172: seven odd terms leave less than 1e-12.
    const double s = (m - 1) / (m + 1), z = s * s;
    const double series = 1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13)))));
    return (float)((double)base + (exponent * 0.69314718055994531 + 2 * s * (1 + z * series)));
}
