# NumPy scalars made in C, without a call of their type.

cdef extern from *:
    """
    #include "numpy/arrayscalars.h"

    static inline PyObject *new_scalar(double value, int is_float) {
        PyObject *scalar;
        if (is_float) {
            scalar = PyArrayScalar_New(Float);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Float, (float)value);
        } else {
            scalar = PyArrayScalar_New(Double);
            if (scalar) PyArrayScalar_ASSIGN(scalar, Double, value);
        }
        return scalar;
    }
    """
    object new_scalar(double value, int is_float)
