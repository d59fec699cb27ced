/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_fixture.h - a small PC-less machine for tests of the amd64 processor: one soft VM,
 * descriptor tables, page tables and handlers in known places, and every mode of the processor one
 * call away.
 *
 *	struct mach m;
 *
 *	m_open(&m);
 *	m_mode(&m, LM64, 3);			64-bit mode, privilege level 3
 *	ASM(&m, 64, "ud2");
 *	m_expect(&m, 6, NOERR);		the next thing that happens is #UD without error code
 *	CHECK_EQ(m.f.rip, m.ip0);
 *	m_close(&m);
 *
 * Every vector has a handler that stops the guest, with the frame in m.f; the next m_expect() or
 * m_end() lets it return by IRET. Guest code ends with END; ports 0xf4 (END) and 0xec are open at
 * every privilege level. Guest memory is written with vm_gpa_write(), so that it may be changed
 * after the guest ran.
 *
 * Sections in the tests are those of the Intel SDM, volume 3 unless another one is named.
 */
#ifndef _AMD64_FIXTURE_H_
#define	_AMD64_FIXTURE_H_

#include <vmmapi/amd64.h>

#include "vm_fixture.h"

/* Where things are.  The first 2 MiB are mapped by 4 KiB pages, all of it user and writable. */
#define	IVT		0x00000		/* real mode */
#define	IDT		0x01000
#define	GDT		0x02000
#define	LDT		0x03000
#define	TSS		0x04000		/* with interrupt redirection and I/O bitmaps behind it */
#define	TSS_REDIR	(TSS + 0x68)
#define	TSS_IOMAP	(TSS + 0x88)
#define	TSS_LIMIT	0x2088
#define	TSS2		0x07000
#define	TSS3		0x07400
#define	PML4		0x08000
#define	PDPT		0x09000
#define	PD		0x0a000		/* of PAE and 4-level paging */
#define	PT		0x0b000		/* the same, of the first 2 MiB */
#define	PD32		0x0c000		/* of 32-bit paging */
#define	PT32		0x0d000		/* the same, of the first 4 MiB */
#define	PAEPDPT		0x0e000
#define	PTX		0x0f000		/* a spare one */
#define	CODE		0x10000
#define	STUBS		0x20000		/* handlers, 16 bytes each */
#define	STUBS16		0x21000		/* the same for real mode, 4 bytes each */
#define	STACK0		0x30000		/* tops of stacks: of code that starts at level 0 */
#define	KSTACK		0x32000		/* of the TSS for level 0 */
#define	STACK1		0x34000
#define	STACK2		0x36000
#define	USTACK		0x38000		/* of code that starts at another level */
#define	IST1		0x3a000
#define	IST2		0x3c000
#define	TSTACK		0x3e000		/* of other tasks */
#define	DATA		0x40000		/* free for the tests up to MEMSIZE */
#define	MEMSIZE		(16U << 20)

/* Selectors. */
#define	S_CODE64	0x08
#define	S_DATA		0x10		/* flat, 4 GiB */
#define	S_CODE32	0x18
#define	S_CODE16	0x20		/* at CODE, 64 KiB */
#define	S_DATA16	0x28		/* at 0x28000, 64 KiB, B clear */
#define	U_CODE32	0x33
#define	U_DATA		0x3b
#define	U_CODE64	0x43
#define	S_TSS		0x48
#define	S_LDT		0x58
#define	S_CODE_1	0x69		/* levels 1 and 2 */
#define	S_DATA_1	0x71
#define	S_CODE_2	0x7a
#define	S_DATA_2	0x82
#define	S_CONF		0x88		/* conforming 32-bit code */
#define	S_NPDATA	0x90		/* not present */
#define	S_RODATA	0x98
#define	S_XOCODE	0xa0		/* execute-only 32-bit code */
/* expand-down 32-bit data, 0x100 pages of 4 KiB are outside */
#define	S_EXPDOWN	0xa8
#define	S_CONF64	0xb0
#define	U_CODE16	0xbb
#define	S_NPCODE	0xc0
#define	S_TSS2		0xc8		/* 32-bit TSS at TSS2 */
#define	S_TSS3		0xd0		/* 32-bit TSS at TSS3 */
#define	S_GATE		0xe0		/* two free entries */
#define	S_FREE		0x100		/* free up to the limit */
#define	GDT_LIMIT	0x1ff

enum mode {
	REAL, V86,
	PM16, PM32,		/* protected without paging */
	PG32,			/* 32-bit paging */
	PAE32,
	LM64, CM32, CM16	/* long mode: 64-bit, compatibility */
};

struct frame {
	unsigned	vec;
	uint64_t	at;		/* linear address, behind the error code */
	uint32_t	err;
	uint64_t	rip, flags, rsp;
	uint16_t	cs, ss;
	bool		has_ss;
	uint16_t	seg86[4];	/* ES, DS, FS, GS, from virtual-8086 mode */
};

struct mach {
	struct vmctx	*vm;
	struct vcpu	*cpu;
	struct vm_exit	 ex;
	enum mode	 mode;
	unsigned	 cpl;
	uint64_t	 ip0;		/* RIP of CODE in this mode */
	const char	*what;		/* what a failure is about */
	struct frame	 f;
};

#define	NOERR	(-1)		/* m_expect(): a vector without error code */
#define	ANYERR	(-2)		/* with one that is not looked at */

/* A VM with one vCPU (or n); the tables are there, m_mode() does the rest. */
void	m_open(struct mach *m);
void	m_open_n(struct mach *m, unsigned n, const struct vm_spec *spec);
void	m_close(struct mach *m);
/* Put m->cpu into mode at a level, about to execute at CODE. */
void	m_mode(struct mach *m, enum mode mode, unsigned cpl);

void	m_set(struct mach *m, int reg, uint64_t val);
uint64_t m_get(struct mach *m, int reg);
#define	SET(m, r, v)	m_set((m), VM_AMD64_REG_##r, (v))
#define	GET(m, r)	m_get((m), VM_AMD64_REG_##r)
/* Hidden part of a segment register. */
void	m_desc(struct mach *m, int reg, uint16_t sel, uint64_t base, uint32_t limit,
	    uint32_t access);
uint64_t m_seg_base(struct mach *m, int reg);
uint32_t m_seg_limit(struct mach *m, int reg);
uint32_t m_seg_access(struct mach *m, int reg);

void	m_poke(struct mach *m, uint64_t gpa, uint64_t val, unsigned size);
uint64_t m_peek(struct mach *m, uint64_t gpa, unsigned size);
void	m_bytes(struct mach *m, uint64_t gpa, const void *bytes, size_t len);
void	m_fill(struct mach *m, uint64_t gpa, uint8_t byte, size_t len);

/* Descriptors: of a segment as in the manual, with an access byte and the G, D/B, L nibble. */
uint64_t m_segdesc(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
void	m_gdt(struct mach *m, unsigned sel, uint64_t desc);
/* A gate of the IDT in the machine's mode; type 14 or 15, or 6, 7, 5. */
void	m_gate(struct mach *m, unsigned vec, unsigned type, unsigned dpl, uint16_t sel,
	    uint64_t off, unsigned ist);
/* A call gate (32-bit, or 64-bit in long mode) at a selector. */
void	m_callgate(struct mach *m, unsigned sel, unsigned type, unsigned dpl, uint16_t to,
	    uint64_t off, unsigned params);
/* The lowest page-table entry of a linear address below 2 MiB. */
uint64_t m_pte_at(struct mach *m, uint64_t lin);
void	m_pte(struct mach *m, uint64_t lin, uint64_t val);
uint64_t m_pte_get(struct mach *m, uint64_t lin);

/* Run until the vCPU stops. */
void	m_run(struct mach *m);
/* The vector whose handler the last exit came from, -1: none. */
int	m_vector(struct mach *m);
void	m_expect_(struct mach *m, unsigned vec, int64_t err, const char *file, int line);
void	m_end_(struct mach *m, const char *file, int line);
/* The guest takes this vector next; err is its error code or NOERR. */
#define	m_expect(m, vec, err)	m_expect_((m), (vec), (err), __FILE__, __LINE__)
/* The guest comes to END. */
#define	m_end(m)		m_end_((m), __FILE__, __LINE__)
/* The guest stops with a triple fault. */
void	m_shutdown_(struct mach *m, const char *file, int line);
#define	m_shutdown(m)		m_shutdown_((m), __FILE__, __LINE__)
/* Make the handler return elsewhere. */
void	m_return_to(struct mach *m, uint64_t rip);

#define	STR_(x)		#x
#define	STR(x)		STR_(x)

/*
 * Assemble text for 16, 32 or 64 bits to a guest-physical address. Text is AT&T; its labels are
 * numbers below 700, and 771 is its start. The labels with the line in them keep the compiler from
 * taking two of these for the same.
 */
#define	ASM_AT(m, gpa, bits, text) do {						\
	const uint8_t *asm_s_, *asm_e_;						\
	__asm__ volatile(".pushsection .rodata\n.code" #bits			\
	    "\n771:\n1000" STR(__LINE__) ":\n\t" text "\n2000" STR(__LINE__)	\
	    ":\n\t.code64\n\t.popsection");					\
	__asm__ volatile("lea 1000" STR(__LINE__) "b(%%rip), %0\n\t"		\
	    "lea 2000" STR(__LINE__) "b(%%rip), %1" : "=r"(asm_s_), "=r"(asm_e_));	\
	m_bytes((m), (gpa), asm_s_, (size_t)(asm_e_ - asm_s_));			\
} while (0)
/* The same to CODE, followed by END. */
#define	ASM(m, bits, text)	ASM_AT(m, CODE, bits, text "\n\t" END "\n")
#define	END		"out %al, $0xf4"
#define	PROBE		"out %al, $0xec"	/* stops with an exit in between */

/* The next exit is a PROBE. */
void	m_probe_(struct mach *m, const char *file, int line);
#define	m_probe(m)		m_probe_((m), __FILE__, __LINE__)

/* Exceptions. */
#define	DE	0
#define	DB	1
#define	NMI	2
#define	BP	3
#define	OF	4
#define	BR	5
#define	UD	6
#define	NM	7
#define	DF	8
#define	TS	10
#define	NP	11
#define	SS	12
#define	GP	13
#define	PF	14
#define	MF	16
#define	AC	17
#define	XM	19

/* Bits. */
#define	FL_CF	0x000001
#define	FL_ZF	0x000040
#define	FL_TF	0x000100
#define	FL_IF	0x000200
#define	FL_DF	0x000400
#define	FL_OF	0x000800
#define	FL_IOPL	0x003000
#define	FL_NT	0x004000
#define	FL_RF	0x010000
#define	FL_VM	0x020000
#define	FL_AC	0x040000
#define	FL_VIF	0x080000
#define	FL_VIP	0x100000
#define	CR0_PE	0x00000001
#define	CR0_MP	0x00000002
#define	CR0_EM	0x00000004
#define	CR0_TS	0x00000008
#define	CR0_NE	0x00000020
#define	CR0_WP	0x00010000
#define	CR0_AM	0x00040000
#define	CR0_NW	0x20000000
#define	CR0_CD	0x40000000
#define	CR0_PG	0x80000000
#define	CR4_VME	0x00000001
#define	CR4_PVI	0x00000002
#define	CR4_TSD	0x00000004
#define	CR4_DE	0x00000008
#define	CR4_PSE	0x00000010
#define	CR4_PAE	0x00000020
#define	CR4_PGE	0x00000080
#define	CR4_PCE	0x00000100
#define	CR4_OSFXSR 0x00000200
#define	CR4_OSXMM 0x00000400
#define	CR4_UMIP 0x00000800
#define	CR4_FSGSBASE 0x00010000
#define	CR4_PCIDE 0x00020000
#define	CR4_OSXSAVE 0x00040000
#define	CR4_SMEP 0x00100000
#define	CR4_SMAP 0x00200000
#define	EFER_SCE 0x001
#define	EFER_LME 0x100
#define	EFER_LMA 0x400
#define	EFER_NXE 0x800
/* Page-table entries. */
#define	PG_P	0x001ULL
#define	PG_RW	0x002ULL
#define	PG_US	0x004ULL
#define	PG_A	0x020ULL
#define	PG_D	0x040ULL
#define	PG_PS	0x080ULL
#define	PG_G	0x100ULL
#define	PG_NX	(1ULL << 63)
#define	PG_ALL	(PG_P | PG_RW | PG_US)
/* #PF error codes (4.7). */
#define	PFE_P	1
#define	PFE_W	2
#define	PFE_U	4
#define	PFE_RSV	8
#define	PFE_I	16

/*
 * CPUID of the guest: what tests of optional features ask first. Uses CODE; the vCPU is reset
 * afterwards.
 */
uint32_t m_cpuid(struct mach *m, uint32_t leaf, uint32_t subleaf, char reg);

#endif /* _AMD64_FIXTURE_H_ */
