/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/x86/specialreg.h - bits of control registers (Intel SDM vol. 3 2.5) and EFER (AMD APM vol. 2 3.1.7).
 */
#ifndef _COMPAT_X86_SPECIALREG_H_
#define	_COMPAT_X86_SPECIALREG_H_

#define	CR0_PE		0x00000001	/* protection */
#define	CR0_MP		0x00000002	/* monitor coprocessor */
#define	CR0_EM		0x00000004	/* emulation */
#define	CR0_TS		0x00000008	/* task switched */
#define	CR0_ET		0x00000010	/* extension type */
#define	CR0_NE		0x00000020	/* numeric error */
#define	CR0_WP		0x00010000	/* write protect */
#define	CR0_AM		0x00040000	/* alignment mask */
#define	CR0_NW		0x20000000	/* not write-through */
#define	CR0_CD		0x40000000	/* cache disable */
#define	CR0_PG		0x80000000	/* paging */

#define	CR4_VME		0x00000001	/* virtual-8086 extensions */
#define	CR4_PVI		0x00000002	/* protected-mode virtual interrupts */
#define	CR4_TSD		0x00000004	/* time stamp disable */
#define	CR4_DE		0x00000008	/* debugging extensions */
#define	CR4_PSE		0x00000010	/* page size extensions */
#define	CR4_PAE		0x00000020	/* physical address extension */
#define	CR4_MCE		0x00000040	/* machine check */
#define	CR4_PGE		0x00000080	/* global pages */
#define	CR4_PCE		0x00000100	/* performance counters */
#define	CR4_FXSR	0x00000200	/* OSFXSR */
#define	CR4_XMM		0x00000400	/* OSXMMEXCPT */
#define	CR4_UMIP	0x00000800	/* user-mode instruction prevention */
#define	CR4_LA57	0x00001000	/* 57-bit linear addresses */
#define	CR4_VMXE	0x00002000	/* VMX */
#define	CR4_SMXE	0x00004000	/* SMX */
#define	CR4_FSGSBASE	0x00010000	/* RDFSBASE and its kin */
#define	CR4_PCIDE	0x00020000	/* process-context identifiers */
#define	CR4_XSAVE	0x00040000	/* OSXSAVE */
#define	CR4_SMEP	0x00100000	/* supervisor-mode execution prevention */
#define	CR4_SMAP	0x00200000	/* supervisor-mode access prevention */
#define	CR4_PKE		0x00400000	/* protection keys */

#define	EFER_SCE	0x00000001	/* SYSCALL */
#define	EFER_LME	0x00000100	/* long mode enable */
#define	EFER_LMA	0x00000400	/* long mode active */
#define	EFER_NXE	0x00000800	/* no-execute */
#define	EFER_SVM	0x00001000	/* SVME */
#define	EFER_LMSLE	0x00002000	/* long mode segment limits */
#define	EFER_FFXSR	0x00004000	/* fast FXSAVE */
#define	EFER_TCE	0x00008000	/* translation cache extension */

#endif /* _COMPAT_X86_SPECIALREG_H_ */
