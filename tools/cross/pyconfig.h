/* What CPython's headers ask of a system, for `make cross`: written by hand in place of the pyconfig.h of the Python at
 * hand, which is Linux's. It has no more than these headers and Cython's C look at; modules compiled with it are not run. */
#ifndef Py_PYCONFIG_H
#define Py_PYCONFIG_H

#define HAVE_STDDEF_H 1
#define HAVE_WCHAR_H 1
#define SIZEOF_VOID_P __SIZEOF_POINTER__
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#define SIZEOF_SHORT __SIZEOF_SHORT__
#define SIZEOF_INT __SIZEOF_INT__
#define SIZEOF_LONG __SIZEOF_LONG__
#define SIZEOF_LONG_LONG __SIZEOF_LONG_LONG__
#define SIZEOF_FLOAT __SIZEOF_FLOAT__
#define SIZEOF_DOUBLE __SIZEOF_DOUBLE__
#define SIZEOF_WCHAR_T __SIZEOF_WCHAR_T__
#define ALIGNOF_SIZE_T _Alignof(size_t)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WORDS_BIGENDIAN 1
#endif

#if defined(_WIN32)
#define MS_WINDOWS
#define MS_WIN32
#define MS_WIN64
#define HAVE_DECLSPEC_DLL
#define NT_THREADS
#define Py_ENABLE_SHARED 1
#define HAVE_SSIZE_T 1
#else
#define HAVE_UNISTD_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_FORK 1
#define HAVE_PTHREAD_H 1
#define HAVE_CLOCK_GETTIME 1
#define HAVE_SSIZE_T 1
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1
#endif
#endif

#endif
