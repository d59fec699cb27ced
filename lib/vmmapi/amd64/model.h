/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - the processors that amd64 guests are shown, whoever executes them.
 */
#ifndef _VMMAPI_AMD64_MODEL_H_
#define	_VMMAPI_AMD64_MODEL_H_

#include "amd64.h"

/* What a processor model has beyond x86-64-v1 (CPUID and soft's translate.c agree by these; streams have them). */
#define	X86_F_SSE3	0x0001U
#define	X86_F_SSSE3	0x0002U
#define	X86_F_SSE41	0x0004U
#define	X86_F_SSE42	0x0008U
#define	X86_F_POPCNT	0x0010U
#define	X86_F_CX16	0x0020U
#define	X86_F_MOVBE	0x0040U
#define	X86_F_RDTSCP	0x0080U
#define	X86_F_RDRAND	0x0100U
#define	X86_F_FSGSBASE	0x0200U
#define	X86_F_AES	0x0400U
#define	X86_F_PCLMUL	0x0800U
#define	X86_F_LAHF	0x1000U		/* in 64-bit mode */
#define	X86_F_PCID	0x2000U		/* and INVPCID */
#define	X86_F_SMEP	0x4000U
#define	X86_F_SMAP	0x8000U
#define	X86_F_UMIP	0x10000U
#define	X86_F_1G	0x20000U
/* ... about speculation */
#define	X86_F_MD_CLEAR	0x40000U
#define	X86_F_IBRS	0x80000U	/* and IBPB */
#define	X86_F_STIBP	0x100000U
#define	X86_F_L1D_FLUSH	0x200000U
#define	X86_F_ARCH_CAPS	0x400000U
#define	X86_F_SSBD	0x800000U
#define	X86_F_BHI_CTRL	0x1000000U
/* ... of x86-64-v3 and v4 */
#define	X86_F_XSAVE	0x2000000U	/* and XRSTOR, XGETBV, XSETBV */
#define	X86_F_AVX	0x4000000U
#define	X86_F_F16C	0x8000000U
#define	X86_F_FMA	0x10000000U
#define	X86_F_BMI1	0x20000000U
#define	X86_F_BMI2	0x40000000U
#define	X86_F_LZCNT	0x80000000U
#define	X86_F_AVX2	0x100000000ULL
#define	X86_F_AVX512F	0x200000000ULL
#define	X86_F_AVX512DQ	0x400000000ULL
#define	X86_F_AVX512CD	0x800000000ULL
#define	X86_F_AVX512BW	0x1000000000ULL
#define	X86_F_AVX512VL	0x2000000000ULL
#define	X86_F_XSAVEOPT	0x4000000000ULL
#define	X86_F_XSAVEC	0x8000000000ULL
#define	X86_F_XGETBV1	0x10000000000ULL
/* What goes with registers that soft does not have, and instructions on them. */
#define	X86_F_LEVEL_V3	(X86_F_XSAVE | X86_F_AVX | X86_F_F16C | X86_F_FMA | X86_F_BMI1 | X86_F_BMI2 | X86_F_LZCNT | X86_F_AVX2)
#define	X86_F_LEVEL_V4	(X86_F_AVX512F | X86_F_AVX512DQ | X86_F_AVX512CD | X86_F_AVX512BW | X86_F_AVX512VL)
#define	X86_F_XSAVE_MORE (X86_F_XSAVEOPT | X86_F_XSAVEC | X86_F_XGETBV1)

/*
 * Components of extended state (SDM vol. 1 13.1) that the state page has beside x87 and SSE, by their number, which is that of their bit in XCR0.  Where in
 * an image that is not compacted a processor has those of AVX-512 is its own matter: CPUID leaf 0DH tells.
 */
#define	XCR0_X87_SSE	0x03U
#define	XCR0_AVX	0x04U
#define	XCR0_AVX512	0xe0U
struct amd64_xpart {
	uint8_t		 nr;
	uint16_t	 offset;	/* in struct amd64_state */
	uint16_t	 size;
	const char	*name;
};
#define	AMD64_NXPARTS	4U
extern const struct amd64_xpart amd64_xparts[AMD64_NXPARTS];
#define	XSAVE_AVX_AT	576U		/* of component 2; the others: amd64_vm.xsave_here */
/* Bits of XCR0 that go with these features. */
uint32_t amd64_xcr0(uint64_t features);
/* Where component nr is in the images of guests here; 0: nowhere. */
uint32_t amd64_xsave_at(const struct amd64_vm *av, unsigned nr);
/* Bytes of such an image with these components. */
uint32_t amd64_xsave_size(const struct amd64_vm *av, uint32_t xcr0);
/* As amd64_words_check(), of amd64_vm.xsave_seen. */
int	amd64_xsave_check(const uint32_t seen[3], const uint32_t here[3]);

struct x86_model {
	const char	*name;
	const char	*brand;		/* at most 47 characters */
	uint64_t	 need;		/* X86_F_*: it is not to be had without these */
	uint64_t	 may;		/* has these where whoever executes it has them */
	uint32_t	 signature;	/* EAX of leaf 1, and EDX after reset (SDM vol. 3 9.1.2) */
	uint32_t	 leaf2[4];
	uint32_t	 cache[4][3];	/* leaf 4: EAX without topology, EBX, ECX */
	uint32_t	 l2;		/* leaf 80000006h, ECX */
};

/* The row of a name; NULL: there is none, "host" and what is refused. */
const struct x86_model *amd64_model(const char *name);
/* Can who has these features be such a processor?  -1 with ENOTSUP and those that are lacking by name; who: "kvm", "soft". */
int	amd64_model_fit(const struct x86_model *model, uint64_t have, const char *who);

/* What a vCPU is shown. */
struct amd64_shown {
	const struct vcpu *vcpu;
	const struct x86_model *model;
	uint64_t	 features;	/* X86_F_*: need, and what it got of may */
	const struct amd64_state *st;	/* for what follows registers; NULL: the back end sees to that */
};
/* CPUID: r is EAX to EDX. */
void	amd64_cpuid(const struct amd64_shown *c, uint32_t leaf, uint32_t sub, uint32_t r[4]);

/* The words of CPUID that say what a processor can do: streams have them in this order, too. */
enum amd64_word { W1_ECX, W1_EDX, W7_EBX, W7_ECX, W7_EDX, W72_EDX, WX1_ECX, WX1_EDX, WX8_EBX, WD_EAX, WD1_EAX };
_Static_assert(WD1_EAX == AMD64_NWORDS - 1 && WD_EAX == AMD64_NWORDS_2, "amd64_vm.seen");
void	amd64_words(const struct amd64_shown *c, uint32_t w[AMD64_NWORDS]);
int	amd64_words_index(uint32_t leaf, uint32_t sub, unsigned reg);	/* reg: 0 EAX .. 3 EDX; -1: none of them */
uint64_t amd64_features(const uint32_t w[AMD64_NWORDS]);		/* X86_F_* among them */
/* Has a guest that saw these all of it here?  -1 as a table's check, with names. */
int	amd64_words_check(const uint32_t seen[AMD64_NWORDS], const uint32_t here[AMD64_NWORDS]);
/* The same for IA32_ARCH_CAPABILITIES: is its processor here as little affected as it was told? */
int	amd64_immune_check(uint64_t seen, uint64_t here);

#endif /* _VMMAPI_AMD64_MODEL_H_ */
