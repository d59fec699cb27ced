/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/x86/segments.h - selectors (Intel SDM vol. 3 3.4.2).
 */
#ifndef _COMPAT_X86_SEGMENTS_H_
#define	_COMPAT_X86_SEGMENTS_H_

#define	SEL_RPL_MASK	3		/* requested privilege level */
#define	SEL_KPL		0		/* kernel's */
#define	SEL_UPL		3		/* user's */
#define	SEL_LDT		4		/* of the local table */

#define	GSEL(s, r)	(((s) << 3) | (r))		/* selector of global descriptor s */
#define	LSEL(s, r)	(((s) << 3) | SEL_LDT | (r))	/* of local descriptor s */
#define	IDXSEL(s)	(((s) >> 3) & 0x1fff)		/* index of a selector */

#endif /* _COMPAT_X86_SEGMENTS_H_ */
