/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp.h - what the core and the system registers need of floating point (fp.c).
 *
 * Instructions leave their exceptions partly in s->fpsr and partly in the host's status register (MXCSR on amd64 hosts).  On the thread of
 * the vCPU:
 *  - a64_fp_enter() on the way into guest code, under the host's default control bits;
 *  - a64_fp_sync() on the way out, and before s->fpsr is read or written: by MRS and MSR FPSR, when state is saved.
 * What else calculates on that thread between the two, under a64_fp_sync(), adds its exceptions to the guest's.
 * FPCR needs no call: every instruction looks at s->fpcr.
 */
#ifndef _SOFT_A64_FP_H_
#define	_SOFT_A64_FP_H_

#include <stdint.h>

struct a64;

/* The bits that a guest can set; the others, Stride, Len and trap enables among them, read as zero (Arm ARM D13.2.48, D13.2.49). */
#define	A64_FPCR_BITS	0x07c00000U
#define	A64_FPSR_BITS	0x0800009fU

/* Forget the exceptions of whoever calculated on this thread before. */
void	a64_fp_enter(struct a64 *c);
/* Fold the host's exceptions into s->fpsr, and clear them. */
void	a64_fp_sync(struct a64 *c);

#endif /* _SOFT_A64_FP_H_ */
