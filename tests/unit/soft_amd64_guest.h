/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_guest.h - small guests for the tests of the software amd64 CPU's instructions, in real
 * mode, 32-bit mode with and without paging, and 64-bit mode.
 */
#ifndef _SOFT_AMD64_GUEST_H_
#define	_SOFT_AMD64_GUEST_H_

#include "soft_amd64_code.h"
#define	CODE	0x10000		/* where guest code is loaded */
#define	STACK	0x9000
#define	IDT	0x1000
#define	TABLES	0x2000		/* page tables */
#define	DATA	0x20000
#define	MEMSIZE	(16U << 20)

#define	CF	0x001
#define	AF	0x010
#define	ZF	0x040
#define	TF	0x100
#define	DF	0x400

static inline void
guest_open(struct guest *g, const uint8_t *code, const uint8_t *end)
{
	guest_new(g, MEMSIZE);
	memcpy(g->mem + CODE, code, (size_t)(end - code));
}

static inline void
mode16(struct guest *g)
{
	segments(g->vcpu, CODE >> 4, CODE, 0xffff, 0x9b, 0, 0xffff, 0x93);
	SET(g, CR0, 0x10);
	CHECK_EQ(vm_set_desc(g->vcpu, VM_AMD64_REG_IDTR, 0, 0x3ff, 0), 0);
	SET(g, RSP, STACK);
	SET(g, RIP, 0);
}

static inline void
mode32(struct guest *g)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL, 0x00af9b000000ffffULL };

	memcpy(g->mem + 0x800, gdt, sizeof(gdt));
	segments(g->vcpu, 8, 0, 0xffffffff, 0xc09b, 0x10, 0xffffffff, 0xc093);
	CHECK_EQ(vm_set_desc(g->vcpu, VM_AMD64_REG_GDTR, 0x800, 0x1f, 0), 0);
	CHECK_EQ(vm_set_desc(g->vcpu, VM_AMD64_REG_IDTR, IDT, 0x7ff, 0), 0);
	SET(g, CR0, 0x11);
	SET(g, RSP, STACK);
	SET(g, RIP, CODE);
}

/* 32-bit paging: pages mapped to themselves. */
static inline void
paging32(struct guest *g)
{
	mode32(g);
	poke(g, TABLES, (TABLES + 0x1000) | 7, 4);
	for (uint32_t i = 0; i < 1024; i++)
		poke(g, TABLES + 0x1000 + 4 * i, i << 12 | 7, 4);
	SET(g, CR3, TABLES);
	SET(g, CR0, 0x80000011);
}

/* 2 MiB mapped to themselves by pages of 4 KiB, the rest of 16 MiB by large ones. */
static inline void
mode64(struct guest *g, struct vcpu *vcpu)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL, 0x00af9b000000ffffULL };

	memcpy(g->mem + 0x800, gdt, sizeof(gdt));
	segments(vcpu, 0x18, 0, 0xffffffff, 0xa09b, 0x10, 0xffffffff, 0xc093);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_GDTR, 0x800, 0x1f, 0), 0);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_IDTR, IDT, 0xfff, 0), 0);
	poke(g, TABLES, (TABLES + 0x1000) | 7, 8);
	poke(g, TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
	poke(g, TABLES + 0x2000, (TABLES + 0x3000) | 7, 8);
	for (uint64_t i = 1; i < 8; i++)
		poke(g, TABLES + 0x2000 + 8 * i, i << 21 | 0x87, 8);
	for (uint64_t i = 0; i < 512; i++)
		poke(g, TABLES + 0x3000 + 8 * i, i << 12 | 7, 8);
	set(vcpu, VM_AMD64_REG_CR3, TABLES);
	set(vcpu, VM_AMD64_REG_CR4, 0x20);
	set(vcpu, VM_AMD64_REG_EFER, 0x500);
	set(vcpu, VM_AMD64_REG_CR0, 0x80000011);
	set(vcpu, VM_AMD64_REG_RSP, STACK);
	set(vcpu, VM_AMD64_REG_RIP, CODE);
}

#define	PTE32(page)	(TABLES + 0x1000 + 4 * ((page) >> 12))
#define	PTE64(page)	(TABLES + 0x3000 + 8 * ((page) >> 12))

static inline void
gate16(struct guest *g, unsigned vector, uint16_t off)
{
	poke(g, 4 * vector, off | (uint32_t)(CODE >> 4) << 16, 4);
}

static inline void
gate32(struct guest *g, unsigned vector, uint32_t off)
{
	poke(g, IDT + 8 * vector, ((CODE + off) & 0xffff) | 8U << 16 | 0x8e0000000000ULL |
	    (uint64_t)((CODE + off) >> 16) << 48, 8);
}

static inline void
gate64(struct guest *g, unsigned vector, uint32_t off)
{
	poke(g, IDT + 16 * vector, ((CODE + off) & 0xffff) | 0x18U << 16 | 0x8e0000000000ULL |
	    (uint64_t)((CODE + off) >> 16) << 48, 8);
	poke(g, IDT + 16 * vector + 8, 0, 8);
}

static inline void
run(struct guest *g)
{
	CHECKF(vm_run(g->vcpu, &g->ex) == 0, "%s", vm_errmsg());
}

static inline void
finish(struct guest *g)
{
	run(g);
	CHECKF(g->ex.code == VM_EXIT_IO && g->ex.u.io.write && g->ex.u.io.port == END, "exit %d at %#llx",
	    g->ex.code, (unsigned long long)g->ex.pc);
}

#define	OPEN(g, name)	guest_open(g, name, name##_end)

/* #PF: note CR2 and registers in a table at RBX, enter the page that is missing, go on. */
#define	PF32									\
    "	pushal\n"								\
    "	movl	0x21ff0, %ebx\n"						\
    "	movl	%cr2, %eax\n"							\
    "	movl	%eax, 0x22000(%ebx)\n"						\
    "	movl	12(%esp), %edx\n"		/* ESP before PUSHA */		\
    "	movl	%edx, 0x22004(%ebx)\n"						\
    "	movl	24(%esp), %edx\n"		/* ECX */			\
    "	movl	%edx, 0x22008(%ebx)\n"						\
    "	addl	$16, 0x21ff0\n"							\
    "	shrl	$12, %eax\n"							\
    "	orl	$3, 0x3000(,%eax,4)\n"						\
    "	movl	%cr3, %eax\n"							\
    "	movl	%eax, %cr3\n"							\
    "	popal\n"								\
    "	addl	$4, %esp\n"							\
    "	iretl\n"

#endif /* _SOFT_AMD64_GUEST_H_ */
