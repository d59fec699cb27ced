/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_tlb.c - section 4.10: what must not be answered from cached translations. That
 * something stays cached is never promised, so it is never tested. Control-register rules that
 * concern paging are here too.
 */
#include <pthread.h>

#include "amd64_fixture.h"

/* Two data pages with different contents; tests remap DATA from one to the other. */
#define	PAGE_A	0x50000
#define	PAGE_B	0x60000

static void
two_pages(struct mach *m, uint64_t flags)
{
	m_poke(m, PAGE_A, 0xaa, 1);
	m_poke(m, PAGE_B, 0xbb, 1);
	m_pte(m, DATA, PAGE_A | PG_ALL | flags);
}

#define	LONG_PTE	"(0xb000 + 8 * 0x40)"
#define	READ_BL		"mov 0x40000, %bl;"
#define	READ_CL		"mov 0x40000, %cl;"
#define	READ_DL		"mov 0x40000, %dl;"
#define	REMAP		"movl $0x60007, " LONG_PTE ";"

TEST(invlpg_and_cr3_end_a_translation)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	ASM(&m, 64, READ_BL REMAP "invlpg 0x40fff;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	ASM(&m, 64, READ_BL REMAP "mov %cr3, %rax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* A write to the page after INVLPG reaches the new one, and so does a fetch. */
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	ASM(&m, 64, "movb $1, 0x40000;" REMAP "invlpg 0x40000; movb $2, 0x40000");
	m_end(&m);
	CHECK_EQ(m_peek(&m, PAGE_A, 1), 1);
	CHECK_EQ(m_peek(&m, PAGE_B, 1), 2);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	m_bytes(&m, PAGE_A, "\xb3\x01\xc3", 3);		/* mov $1, %bl; ret */
	m_bytes(&m, PAGE_B, "\xb3\x02\xc3", 3);
	ASM(&m, 64, "mov $0x40000, %edi; call *%rdi; mov %bl, %cl;" REMAP "invlpg (%rdi);"
	    "call *%rdi");
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 1);
	CHECK_EQ(GET(&m, RBX) & 0xff, 2);
	/* INVLPG of one address in a large page ends all of it. */
	m_mode(&m, LM64, 0);
	m_poke(&m, 0x200000, 0x11, 1);
	m_poke(&m, 0x400000, 0x22, 1);
	ASM(&m, 64,
	    "mov 0x200000, %bl; mov 0x201000, %al; movl $0x400087, 0xa008; invlpg 0x3ff000;"
	    "mov 0x200000, %cl");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0x11);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0x22);
	/* INVLPG of what cannot be translated is no fault (vol. 2); at level 3 it is #GP. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "invlpg 0x40000; movabs $0x8000000000000000, %rax; invlpg (%rax)");
	m_end(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "invlpg 0x40000");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	m_bytes(&m, CODE, "\x0f\x01\xff", 3);		/* of a register: RDI */
	m_expect(&m, UD, NOERR);
	m_close(&m);
}

/*
 * 4.10.4.3: a page that becomes present, or gets more rights, needs nothing: a fault for it is
 * not made from a cached entry.
 */
TEST(more_rights_need_no_invalidation)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, READ_BL READ_CL);
	m_expect(&m, PF, 0);
	m_pte(&m, DATA, PAGE_A | PG_ALL);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
	/*
	 * Read-only to writable: the fault must not repeat once the handler has returned (INVLPG
	 * by the fault, 4.10.4.1).
	 */
	m_mode(&m, LM64, 3);
	two_pages(&m, 0);
	m_pte(&m, DATA, PAGE_A | PG_P | PG_US);
	ASM(&m, 64, READ_BL "movb $5, 0x40000");
	m_expect(&m, PF, PFE_P | PFE_W | PFE_U);
	m_pte(&m, DATA, PAGE_A | PG_ALL);
	m_end(&m);
	CHECK_EQ(m_peek(&m, PAGE_A, 1), 5);
	/* Supervisor to user. */
	m_mode(&m, LM64, 3);
	two_pages(&m, 0);
	m_pte(&m, DATA, PAGE_A | PG_P | PG_RW);
	ASM(&m, 64, READ_BL);
	m_expect(&m, PF, PFE_P | PFE_U);
	m_pte(&m, DATA, PAGE_A | PG_ALL);
	m_end(&m);
	m_close(&m);
}

/*
 * A translation made by a read does not let a write go without its own checks, dirty flag
 * included.
 */
TEST(a_read_does_not_vouch_for_a_write)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	two_pages(&m, 0);
	ASM(&m, 64, READ_BL "movb $1, 0x40000");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA) & (PG_A | PG_D), PG_A | PG_D);
	/* The dirty flag that software cleared is set again after INVLPG. */
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	ASM(&m, 64, "movb $1, 0x40000; andl $~0x60, " LONG_PTE "; invlpg 0x40000;"
	    "movb $1, 0x40000");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA) & (PG_A | PG_D), PG_A | PG_D);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	ASM(&m, 64, "movb $1, 0x40000; andl $~0x60, " LONG_PTE "; invlpg 0x40000;" READ_BL);
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA) & (PG_A | PG_D), PG_A);
	m_close(&m);
}

/*
 * Rights are judged by the present CPL, CR0.WP, CR4.SMEP and SMAP, AC and EFER.NXE, whatever is
 * cached (4.6, 4.10.2.2).
 */
TEST(cached_translations_follow_the_mode)
{
	struct mach m;
	uint32_t f7 = 0;

	m_open(&m);
	if (m_cpuid(&m, 0, 0, 'a') >= 7)
		f7 = m_cpuid(&m, 7, 0, 'b');
	/* WP on. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, PAGE_A | PG_P | PG_US);
	ASM(&m, 64, "movb $1, 0x40000; mov %cr0, %rax; bts $16, %rax; mov %rax, %cr0;"
	    "movb $2, 0x40000");
	m_expect(&m, PF, PFE_P | PFE_W);
	CHECK_EQ(m_peek(&m, PAGE_A, 1), 1);
	/* WP off. */
	m_mode(&m, LM64, 0);
	SET(&m, CR0, GET(&m, CR0) | CR0_WP);
	m_pte(&m, DATA, PAGE_A | PG_P | PG_US);
	ASM(&m, 64, READ_BL "mov %cr0, %rax; btr $16, %rax; mov %rax, %cr0; movb $2, 0x40000");
	m_end(&m);
	CHECK_EQ(m_peek(&m, PAGE_A, 1), 2);
	/* Level 0 fills, level 3 is refused. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, PAGE_A | PG_P | PG_RW);
	ASM(&m, 64,
	    READ_BL "movb $1, 0x40000; pushq $0x3b; pushq $0x38000; pushq $2; pushq $0x43;"
	    "pushq $0x10100; iretq;"
	    ".org 771b + 0x100, 0x90;" READ_CL);
	m_expect(&m, PF, PFE_P | PFE_U);
	/*
	 * NXE, once on, makes XD count (setting it is no invalidation, but an XD entry was
	 * reserved before: use another order).
	 */
	m_mode(&m, LM64, 0);
	SET(&m, EFER, GET(&m, EFER) | EFER_NXE);
	m_pte(&m, DATA, PAGE_A | PG_ALL | PG_NX);
	m_bytes(&m, PAGE_A, "\xc3", 1);
	ASM(&m, 64, READ_BL "mov $0x40000, %eax; call *%rax");
	m_expect(&m, PF, PFE_P | PFE_I);
	if ((f7 >> 7 & 1) != 0) {
		m_mode(&m, LM64, 0);
		for (uint64_t p = 0; p < 0x40000; p += 0x1000)
			m_pte(&m, p, p | PG_P | PG_RW);
		m_pte(&m, DATA, PAGE_A | PG_ALL);
		m_bytes(&m, PAGE_A, "\xc3", 1);
		ASM(&m, 64, "mov $0x40000, %edi; call *%rdi; mov %cr4, %rax; bts $20, %rax;"
		    "mov %rax, %cr4; call *%rdi");
		m_expect(&m, PF, PFE_P | PFE_I);
		CHECK_EQ(m.f.rip, DATA);
	}
	if ((f7 >> 20 & 1) != 0) {
		m_mode(&m, LM64, 0);
		for (uint64_t p = 0; p < 0x40000; p += 0x1000)
			m_pte(&m, p, p | PG_P | PG_RW);
		m_pte(&m, DATA, PAGE_A | PG_ALL);
		ASM(&m, 64, READ_BL "movb $1, 0x40000; mov %cr4, %rax; bts $21, %rax;"
		    "mov %rax, %cr4; stac;" READ_CL
		    "pushfq; pop %rsi; clac;" PROBE "; movb $2, 0x40000");
		m_probe(&m);
		CHECK((GET(&m, RSI) & FL_AC) != 0);
		m_expect(&m, PF, PFE_P | PFE_W);
		/* POPF of AC is as good as STAC and CLAC. */
		m_mode(&m, LM64, 0);
		for (uint64_t p = 0; p < 0x40000; p += 0x1000)
			m_pte(&m, p, p | PG_P | PG_RW);
		SET(&m, CR4, CR4_PAE | CR4_SMAP);
		ASM(&m, 64, "stac;" READ_BL "pushq $2; popfq;" READ_CL);
		m_expect(&m, PF, PFE_P);
		CHECK_EQ(m.f.flags & FL_AC, 0);
	}
	m_close(&m);
}

/* 4.10.2.4: global translations survive CR3; they end by INVLPG and by changes of CR4.PGE. */
TEST(global_pages)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PGE);
	two_pages(&m, PG_G);
	ASM(&m, 64, READ_BL REMAP "invlpg 0x40000;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PGE);
	two_pages(&m, PG_G);
	ASM(&m, 64, READ_BL REMAP "mov %cr4, %rax; btr $7, %rax; mov %rax, %cr4; bts $7, %rax;"
	    "mov %rax, %cr4;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* Without PGE the flag means nothing: CR3 ends all. */
	m_mode(&m, LM64, 0);
	two_pages(&m, PG_G);
	ASM(&m, 64, READ_BL REMAP "mov %cr3, %rax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* A flag set while PGE was off does not come to life with it. */
	m_mode(&m, LM64, 0);
	two_pages(&m, PG_G);
	ASM(&m, 64, READ_BL "mov %cr4, %rax; bts $7, %rax; mov %rax, %cr4;" REMAP
	    "invlpg 0x40000; mov %cr3, %rax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* Paging off and on again ends everything, global or not (4.10.4.1). */
	m_mode(&m, PG32, 0);
	SET(&m, CR4, CR4_PSE | CR4_PGE);
	two_pages(&m, PG_G);
	ASM(&m, 32, READ_BL "movl $0x60107, (0xd000 + 4 * 0x40); mov %cr0, %eax; btr $31, %eax;"
	    "mov %eax, %cr0;"
	    "bts $31, %eax; mov %eax, %cr0;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	m_close(&m);
}

/* Another page with the same low bits, far away: what a small cache had of DATA may have to give way. */
#define	DISPLACE	"mov 0x840000, %al; movb $0, 0x840000;"
#define	RELOAD		"mov %cr3, %rax; mov %rax, %cr3;"

static void
displacing(struct mach *m, uint64_t flags)
{
	m_mode(m, LM64, 0);
	SET(m, CR4, CR4_PAE | CR4_PGE);
	two_pages(m, flags);
	m_poke(m, PD + 8 * 4, 0x400087, 8);
}

/* The same where a translation was displaced by others, or was made in another address space. */
TEST(displaced_translations_end_too)
{
	struct mach m;

	m_open(&m);
	for (unsigned g = 0; g < 2; g++) {
		uint64_t flags = g != 0 ? PG_G : 0;

		displacing(&m, flags);
		ASM(&m, 64, READ_BL DISPLACE READ_DL DISPLACE REMAP "invlpg 0x40000;" READ_CL);
		m_end(&m);
		CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
		CHECK_EQ(GET(&m, RDX) & 0xff, 0xaa);
		CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
		displacing(&m, flags);
		ASM(&m, 64, "movb $1, 0x40000;" DISPLACE REMAP "invlpg 0x40000; movb $2, 0x40000;" DISPLACE "movb $3, 0x40000");
		m_end(&m);
		CHECK_EQ(m_peek(&m, PAGE_A, 1), 1);
		CHECK_EQ(m_peek(&m, PAGE_B, 1), 3);
		displacing(&m, flags);
		ASM(&m, 64, READ_BL DISPLACE RELOAD READ_DL DISPLACE REMAP "invlpg 0x40000;" RELOAD READ_CL);
		m_end(&m);
		CHECK_EQ(GET(&m, RDX) & 0xff, 0xaa);
		CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
		displacing(&m, flags);
		ASM(&m, 64, READ_BL DISPLACE REMAP "mov %cr4, %rax; btr $7, %rax; mov %rax, %cr4; bts $7, %rax; mov %rax, %cr4;" READ_CL);
		m_end(&m);
		CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
		/* Code too: called in two address spaces, remapped in the second one. */
		displacing(&m, flags);
		m_bytes(&m, PAGE_A, "\xb3\x01\xc3", 3);		/* mov $1, %bl; ret */
		m_bytes(&m, PAGE_B, "\xb3\x02\xc3", 3);
		ASM(&m, 64, "mov $0x40000, %edi; call *%rdi; mov %bl, %cl;" RELOAD "call *%rdi; add %bl, %cl;" REMAP
		    "invlpg (%rdi);" RELOAD "call *%rdi");
		m_end(&m);
		CHECK_EQ(GET(&m, RCX) & 0xff, 2);
		CHECK_EQ(GET(&m, RBX) & 0xff, 2);
	}
	/* A page is not marked accessed or dirty anew because some cache knows it: but when INVLPG was in between, it is. */
	displacing(&m, PG_G);
	ASM(&m, 64, "movb $1, 0x40000;" DISPLACE "andb $0x9f, " LONG_PTE "; invlpg 0x40000; movb $2, 0x40000");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA) & (PG_A | PG_D), PG_A | PG_D);
	m_close(&m);
}

/* Two address spaces at one address, with and without PCIDs (4.10.1). */
#define	PML4_2	"0x51000"

static void
second_space(struct mach *m)
{
	uint64_t pt[512], pd[512];

	vm_gpa_read(m->vm, PT, pt, sizeof(pt));
	pt[DATA >> 12] = PAGE_B | PG_ALL;
	m_bytes(m, 0x54000, pt, sizeof(pt));
	vm_gpa_read(m->vm, PD, pd, sizeof(pd));
	pd[0] = 0x54000 | PG_ALL;
	m_bytes(m, 0x53000, pd, sizeof(pd));
	m_fill(m, 0x51000, 0, 0x2000);
	m_poke(m, 0x52000, 0x53000 | PG_ALL, 8);
	m_poke(m, 0x51000, 0x52000 | PG_ALL, 8);
}

TEST(address_spaces_are_apart)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	two_pages(&m, 0);
	second_space(&m);
	ASM(&m, 64, READ_BL "mov $" PML4_2 ", %eax; mov %rax, %cr3;" READ_CL "mov $0x8000, %eax;"
	    "mov %rax, %cr3;" READ_DL);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	CHECK_EQ(GET(&m, RDX) & 0xff, 0xaa);
	m_close(&m);
}

TEST(process_context_identifiers)
{
	struct mach m;

	m_open(&m);
	if ((m_cpuid(&m, 1, 0, 'c') >> 17 & 1) == 0)
		SKIP("the processor has no PCIDs");
	/* Each PCID its own, with and without the order to keep (bit 63). */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE);
	two_pages(&m, 0);
	second_space(&m);
	ASM(&m, 64,
	    "mov $0x8001, %eax; mov %rax, %cr3;" READ_BL "movabs $0x8000000000051002, %rax;"
	    "mov %rax, %cr3;" READ_CL
	    "movabs $0x8000000000008001, %rax; mov %rax, %cr3;" READ_DL "mov %cr3, %rsi");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	CHECK_EQ(GET(&m, RDX) & 0xff, 0xaa);
	CHECK_EQ(GET(&m, RSI), 0x8001);			/* bit 63 is no part of the register */
	/* Without bit 63 the PCID's translations end. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE);
	two_pages(&m, 0);
	ASM(&m, 64, "mov $0x8001, %eax; mov %rax, %cr3;" READ_BL REMAP "mov $0x8001, %eax;"
	    "mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* ... also those made before another PCID ran. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE);
	two_pages(&m, 0);
	ASM(&m, 64,
	    "mov $0x8001, %eax; mov %rax, %cr3;" READ_BL "mov $0x8002, %eax; mov %rax, %cr3;" REMAP
	    "mov $0x8001, %eax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* INVLPG ends the present PCID's and global ones. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE | CR4_PGE);
	two_pages(&m, PG_G);
	ASM(&m, 64,
	    "mov $0x8001, %eax; mov %rax, %cr3;" READ_BL "mov $0x8002, %eax; mov %rax, %cr3;" REMAP
	    "invlpg 0x40000;"
	    "movabs $0x8000000000008001, %rax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/* Clearing PCIDE ends all. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE);
	two_pages(&m, 0);
	ASM(&m, 64,
	    READ_BL REMAP "mov $0x8001, %eax; mov %rax, %cr3; mov %cr4, %rax; btr $17, %rax;"
	    "mov %rax, %cr4;"
	    "mov $0x8000, %eax; mov %rax, %cr3;" READ_CL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	/*
	 * Setting PCIDE needs PCID 0 and long mode (4.10.1); clearing PG is refused while it is
	 * set.
	 */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x8018, %eax; mov %rax, %cr3; mov %cr4, %rax; bts $17, %rax;"
	    "mov %rax, %cr4");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov %cr4, %rax; bts $17, %rax; mov %rax, %cr4");
	m_end(&m);
	m_mode(&m, PAE32, 0);
	ASM(&m, 32, "mov %cr4, %eax; bts $17, %eax; mov %eax, %cr4");
	m_expect(&m, GP, 0);
	m_mode(&m, CM32, 0);
	SET(&m, CR4, CR4_PAE | CR4_PCIDE);
	ASM(&m, 32, "mov %cr0, %eax; btr $31, %eax; mov %eax, %cr0");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/*
 * 4.10.5: the other processor's translations end by its own INVLPG, which an interrupt asks it
 * for.
 */
TEST(translations_of_another_processor)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT };
	struct tv_runner r[2] = { 0 };
	struct mach m;

	m_open_n(&m, 2, &spec);
	for (int i = 1; i >= 0; i--) {
		r[i].cpu = m.cpu = vm_vcpu_open(m.vm, i);
		CHECK(m.cpu != NULL);
		m_mode(&m, PG32, 0);
		SET(&m, RSP, i == 0 ? STACK0 : TSTACK);
		SET(&m, RDI, (uint64_t)i);
	}
	m_poke(&m, PAGE_A, 0xaa, 1);
	m_poke(&m, PAGE_B, 0xbb, 1);
	m_pte(&m, DATA, PAGE_A | PG_ALL);
	m_gate(&m, 0x50, 14, 0, S_CODE32, CODE + 0x800, 0);
	/*
	 * 45000H: acknowledged; 45004H: the round that processor 1 is in; 45008H: what it is to
	 * read; 4500CH: errors.
	 */
	m_fill(&m, 0x45000, 0, 16);
	m_poke(&m, 0x45008, 0xaa, 1);
	ASM(&m, 32,
	    "movl $0x1ff, 0xfee000f0; mov $300, %ebp; test %edi, %edi; jnz 5f;"
	    "1: pause; cmpl %ebp, 0x45004; jne 1b; xorl $0x30000, 0xd000 + 4 * 0x40;"
	    "xorb $0x11, 0x45008;"
	    "movl $0x01000000, 0xfee00310; movl $0x4050, 0xfee00300; dec %ebp; jnz 1b; jmp 4f;"
	    "5: sti; 6: mov 0x40000, %al; mov %ebp, 0x45004; 7: pause; cmpl $0, 0x45000; je 7b;"
	    "mov 0x40000, %al;"
	    "cmp %al, 0x45008; je 8f; incl 0x4500c; 8: movl $0, 0x45000; dec %ebp; jnz 6b; cli;"
	    "4:");
	ASM_AT(&m, CODE + 0x800, 32, "invlpg 0x40000; movl $0, 0xfee000b0; movl $1, 0x45000; iret");
	CHECKF(vm_start(m.vm) == 0, "%s", vm_errmsg());
	tv_run(r, 2);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(r[i].ex.code, VM_EXIT_IO);
		CHECK_EQ(r[i].ex.u.io.port, 0xf4);
	}
	CHECK_EQ(m_peek(&m, 0x4500c, 4), 0);
	m_close(&m);
}

TEST(invpcid)
{
	struct mach m;

	m_open(&m);
	if (m_cpuid(&m, 0, 0, 'a') < 7 || (m_cpuid(&m, 7, 0, 'b') >> 10 & 1) == 0) {
		m_mode(&m, LM64, 0);
		m_bytes(&m, CODE, "\x66\x0f\x38\x82\x03", 5);
		m_expect(&m, UD, NOERR);
		SKIP("the processor has no INVPCID");
	}
	for (uint64_t type = 0; type < 4; type++) {
		m_mode(&m, LM64, 0);
		SET(&m, CR4, CR4_PAE | CR4_PCIDE | CR4_PGE);
		two_pages(&m, type == 2 ? PG_G : 0);
		m_bytes(&m, DATA + 0x2000, (uint64_t[]){ 1, DATA }, 16);
		SET(&m, RDI, type);
		ASM(&m, 64,
		    "mov $0x8001, %eax; mov %rax, %cr3;" READ_BL
		    "movabs $0x8000000000008002, %rax; mov %rax, %cr3;" REMAP
		    "invpcid 0x42000, %rdi; movabs $0x8000000000008001, %rax;"
		    "mov %rax, %cr3;" READ_CL);
		m_end(&m);
		CHECK_EQ(GET(&m, RBX) & 0xff, 0xaa);
		CHECK_EQ(GET(&m, RCX) & 0xff, 0xbb);
	}
	/*
	 * #GP(0): type above 3, reserved bits of the descriptor, non-canonical address with type
	 * 0, PCID while PCIDE is 0.
	 */
	static const struct {
		uint64_t type, lo, hi;
		bool pcide;
	} bad[] = {
		{ 4, 0, 0, true }, { 0, 0x1000, 0, true }, { 2, 1ULL << 63, 0, true }, { 0, 0,
		    1ULL << 63, true },
		{ 0, 1, 0, false }, { 1, 1, 0, false },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		m_mode(&m, LM64, 0);
		SET(&m, CR4, CR4_PAE | (bad[i].pcide ? CR4_PCIDE : 0));
		m_bytes(&m, DATA, (uint64_t[]){ bad[i].lo, bad[i].hi }, 16);
		SET(&m, RDI, bad[i].type);
		ASM(&m, 64, "invpcid 0x40000, %rdi");
		m_expect(&m, GP, 0);
	}
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "invpcid 0x40000, %rdi");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/*
 * Pages that are gone through one after the other may be translated before they are asked for, each by its own entry: the walk neither
 * marks one that is not asked for, nor overlooks what its entry does not allow (4.6, 4.8, 4.10.2.3).
 */

#define	RUN_PAGES	40U
#define	RUN_AT(i)	(DATA + (i) * 0x1000ULL)
#define	RUN_TO(i)	(0x100000 + ((i) * 7 % RUN_PAGES) * 0x1000ULL)
#define	RUN_READ(bits, to) ASM(m, bits, "xor %eax, %eax; xor %ebx, %ebx; mov $0x40000, %esi; 1: movb (%esi), %al; add %eax, %ebx;"		\
			"add $0x1000, %esi; cmp $" to ", %esi; jb 1b")
#define	RUN_WRITE(bits)	ASM(m, bits, "mov $0x40000, %esi; 1: movb $99, (%esi); add $0x1000, %esi; cmp $0x60000, %esi; jb 1b")

static void
run_pages(struct mach *m, enum mode mode, uint64_t flags)
{
	m_mode(m, mode, 3);
	for (unsigned i = 0; i < RUN_PAGES; i++) {
		m_poke(m, RUN_TO(i), i + 1, 1);
		m_pte(m, RUN_AT(i), RUN_TO(i) | PG_ALL | flags);
	}
}

static void
run_read(struct mach *m, bool wide)
{
	if (wide)
		RUN_READ(64, "0x60000");
	else
		RUN_READ(32, "0x60000");
}

static void
run_write(struct mach *m, bool wide)
{
	if (wide)
		RUN_WRITE(64);
	else
		RUN_WRITE(32);
}

static void
one_by_one(struct mach *m, enum mode mode)
{
	bool wide = mode == LM64;

	/* All alike; what was not asked for is not marked. */
	run_pages(m, mode, 0);
	run_read(m, wide);
	m_end(m);
	CHECK_EQ(GET(m, RBX) & 0xffff, 32 * 33 / 2);
	for (unsigned i = 0; i < RUN_PAGES; i++)
		CHECK_EQ(m_pte_get(m, RUN_AT(i)) & (PG_A | PG_D), i < 32 ? PG_A : 0);
	/* Those with and without marks among each other. */
	run_pages(m, mode, PG_A);
	m_pte(m, RUN_AT(20), RUN_TO(20) | PG_ALL);
	m_pte(m, RUN_AT(34), RUN_TO(34) | PG_ALL);
	run_read(m, wide);
	m_end(m);
	CHECK_EQ(GET(m, RBX) & 0xffff, 32 * 33 / 2);
	CHECK_EQ(m_pte_get(m, RUN_AT(20)) & PG_A, PG_A);
	CHECK_EQ(m_pte_get(m, RUN_AT(34)) & PG_A, 0);
	/* One that is not there, one that is not for users, one that has a reserved bit. */
	for (unsigned k = 0; k < 3; k++) {
		static const uint64_t bit[] = { PG_P, PG_US, 1ULL << 51 };
		static const unsigned error[] = { PFE_U, PFE_P | PFE_U, PFE_P | PFE_U | PFE_RSV };

		if (k == 2 && mode == PG32)
			continue;
		run_pages(m, mode, PG_A | PG_D);
		m_pte(m, RUN_AT(23), (RUN_TO(23) | PG_ALL | PG_A | PG_D) ^ bit[k]);
		run_read(m, wide);
		m_expect(m, PF, error[k]);
		CHECK_EQ(GET(m, CR2), RUN_AT(23));
	}
	/* Stores: a page that is not writable, and dirty bits of those that were stored to and no others. */
	run_pages(m, mode, PG_A);
	run_write(m, wide);
	m_end(m);
	for (unsigned i = 0; i < RUN_PAGES; i++) {
		CHECK_EQ(m_pte_get(m, RUN_AT(i)) & PG_D, i < 32 ? PG_D : 0);
		CHECK_EQ(m_peek(m, RUN_TO(i), 1), i < 32 ? 99 : i + 1);
	}
	run_pages(m, mode, PG_A | PG_D);
	m_pte(m, RUN_AT(19), RUN_TO(19) | PG_P | PG_US | PG_A | PG_D);
	run_write(m, wide);
	m_expect(m, PF, PFE_P | PFE_W | PFE_U);
	CHECK_EQ(GET(m, CR2), RUN_AT(19));
	CHECK_EQ(m_peek(m, RUN_TO(19), 1), 20);
}

TEST(pages_one_by_one)
{
	struct mach m;

	m_open(&m);
	one_by_one(&m, LM64);
	one_by_one(&m, PAE32);
	one_by_one(&m, PG32);
	m_close(&m);
}

/* What INVLPG ends it also ends where the page was not asked for yet; the pages of a large one follow it, and end with it. */
TEST(pages_ahead_end_too)
{
	struct mach mach, *m = &mach;

	m_open(m);
	m_mode(m, LM64, 0);
	for (unsigned i = 0; i < RUN_PAGES; i++) {
		m_poke(m, RUN_TO(i), i + 1, 1);
		m_pte(m, RUN_AT(i), RUN_TO(i) | PG_ALL | PG_A | PG_D);
	}
	m_poke(m, 0x60000, 200, 1);
	ASM(m, 64, "xor %eax, %eax; xor %ebx, %ebx; mov $0x40000, %esi; 1: movb (%rsi), %al; add %eax, %ebx; add $0x1000, %esi;"
	    "cmp $0x54000, %esi; jb 1b;"
	    "movl $0x60007, 0xb000 + 8 * 0x56; invlpg 0x56000;"
	    "1: movb (%rsi), %al; add %eax, %ebx; add $0x1000, %esi; cmp $0x60000, %esi; jb 1b");
	m_end(m);
	CHECK_EQ(GET(m, RBX) & 0xffff, 32 * 33 / 2 - 23 + 200);
	/* 2 MiB at 0x200000, gone through to its middle, then somewhere else. */
	m_mode(m, LM64, 0);
	for (unsigned i = 0; i < 512; i++) {
		m_poke(m, 0x200000 + i * 0x1000, 1, 1);
		m_poke(m, 0x400000 + i * 0x1000, 2, 1);
	}
	ASM(m, 64, "xor %eax, %eax; xor %ebx, %ebx; mov $0x200000, %esi; 1: movb (%rsi), %al; add %eax, %ebx; add $0x1000, %esi;"
	    "cmp $0x300000, %esi; jb 1b;"
	    "movl $0x400087, 0xa008; invlpg 0x200000;"
	    "1: movb (%rsi), %al; add %eax, %ebx; add $0x1000, %esi; cmp $0x400000, %esi; jb 1b");
	m_end(m);
	CHECK_EQ(GET(m, RBX) & 0xffff, 256 + 2 * 256);
	m_close(m);
}

/* 2.5, 4.1.2: which changes of CR0, CR3, CR4 and EFER are refused. */
TEST(control_register_rules)
{
	static const struct {
		enum mode mode;
		const char *what, *code;
		unsigned len;
		uint64_t rax, rdx;
		int vec;
	} t[] = {
		{ PM32, "PG without PE", "\x0f\x22\xc0", 3, 0x80000030, 0, GP },
		{ PM32, "NW without CD", "\x0f\x22\xc0", 3, 0x20000031, 0, GP },
		{ PM32, "ET is always set", "\x0f\x22\xc0", 3,
		    0x21, 0, -1 },
		{ LM64, "CR0 bit 32", "\x0f\x22\xc0", 3, 0x180000031, 0, GP },
		{ LM64, "PG off in 64-bit mode", "\x0f\x22\xc0", 3, 0x31, 0, GP },
		{ LM64, "PAE off in long mode", "\x0f\x22\xe0", 3, 0, 0, GP },
		{ LM64, "CR4 bit 31", "\x0f\x22\xe0", 3, 0x80000020, 0, GP },
		{ LM64, "CR4 bit 15", "\x0f\x22\xe0", 3, 0x8020, 0, GP },
		{ LM64, "CR4.VMXE, SMXE without the features", "\x0f\x22\xe0", 3, 0x4020, 0, GP },
		{ LM64, "CR4 bit 32", "\x0f\x22\xe0", 3, 0x100000020, 0, GP },
		{ LM64, "LA57 in long mode", "\x0f\x22\xe0", 3, 0x1020, 0, GP },
		{ LM64, "CR3 bit 41", "\x0f\x22\xd8", 3, 0x20000008000, 0, GP },
		{ LM64, "CR3 bit 52", "\x0f\x22\xd8", 3, 0x10000000008000, 0, GP },
		{ LM64, "CR3 bit 63 without PCIDE", "\x0f\x22\xd8", 3, 0x8000000000008000, 0, GP },
		{ LM64, "CR3 low bits are ignored", "\x0f\x22\xd8", 3, 0x8fe7, 0, -1 },
		{ LM64, "CR8 of 16", "\x44\x0f\x22\xc0", 4, 0x10, 0, GP },
		{ LM64, "CR8 of 15", "\x44\x0f\x22\xc0", 4, 0xf, 0, -1 },
		{ LM64, "CR1", "\x0f\x22\xc8", 3, 0, 0, UD },
		{ LM64, "CR5 read", "\x0f\x20\xe8", 3, 0, 0, UD },
		{ LM64, "CR9", "\x44\x0f\x22\xc8", 4, 0, 0, UD },
		{ LM64, "LME off while paging", "\x0f\x30", 2, 0, 0, GP },
		{ LM64, "EFER bit 12", "\x0f\x30", 2, 0x1500, 0, GP },
		{ LM64, "EFER bit 1", "\x0f\x30", 2, 0x502, 0, GP },
		{ LM64, "EFER bit 32", "\x0f\x30", 2, 0x500, 1, GP },
		{ LM64, "EFER the same, with NXE and SCE", "\x0f\x30", 2, 0xd01, 0, -1 },
		{ PG32, "LME on while paging", "\x0f\x30", 2, 0x100, 0, GP },
	};
	struct mach m;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint64_t cr0, cr3, cr4, efer;

		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, t[i].mode, 0);
		m_bytes(&m, CODE, t[i].code, t[i].len);
		m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
		SET(&m, RAX, t[i].rax);
		SET(&m, RDX, t[i].rdx);
		SET(&m, RCX, 0xc0000080);
		cr0 = GET(&m, CR0), cr3 = GET(&m, CR3), cr4 = GET(&m, CR4), efer = GET(&m, EFER);
		if (t[i].vec < 0) {
			m_end(&m);
			CHECK((GET(&m, CR0) & 0x10) != 0);
		} else {
			m_expect(&m, (unsigned)t[i].vec, t[i].vec == UD ? NOERR : 0);
			CHECK_EQ(GET(&m, CR0), cr0);
			CHECK_EQ(GET(&m, CR3), cr3);
			CHECK_EQ(GET(&m, CR4), cr4);
			CHECK_EQ(GET(&m, EFER), efer);
		}
		m_close(&m);
	}
	/* Paging on with LME: needs PAE, and no L in CS (4.1.2, 9.8.5). */
	m_open(&m);
	m_mode(&m, PM32, 0);
	SET(&m, EFER, EFER_LME);
	SET(&m, CR3, PML4);
	ASM(&m, 32, "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0");
	m_expect(&m, GP, 0);
	m_mode(&m, PM32, 0);
	SET(&m, EFER, EFER_LME);
	SET(&m, CR3, PML4);
	SET(&m, CR4, CR4_PAE);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0xffffffff, 0xe09b);
	ASM(&m, 32, "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0");
	m_expect(&m, GP, 0);
	/* Nor a 16-bit TSS in TR. */
	m_mode(&m, PM32, 0);
	SET(&m, EFER, EFER_LME);
	SET(&m, CR3, PML4);
	SET(&m, CR4, CR4_PAE);
	m_desc(&m, VM_AMD64_REG_TR, S_TSS, TSS, 0x2b, 0x83);
	ASM(&m, 32, "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0");
	m_expect(&m, GP, 0);
	/* CS.D and L in a code segment of long mode: #GP with the selector. */
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x9b, 0xe));
	ASM(&m, 64, "pushq $0x100; pushq $0x10100; lretq");
	m_expect(&m, GP, S_FREE);
	/* LMA appears and goes with PG. */
	m_mode(&m, PM32, 0);
	SET(&m, EFER, EFER_LME);
	SET(&m, CR3, PML4);
	SET(&m, CR4, CR4_PAE);
	ASM(&m, 32, "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0;" PROBE "; btr $31, %eax;"
	    "mov %eax, %cr0");
	m_probe(&m);
	CHECK_EQ(GET(&m, EFER), EFER_LME | EFER_LMA);
	m_end(&m);
	CHECK_EQ(GET(&m, EFER), EFER_LME);
	m_close(&m);
}

/* LMSW: PE can be set and not cleared, the other three bits follow; CLTS; SMSW (vol. 2). */
TEST(machine_status_word)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0xfff0, %eax; lmsw %ax;" PROBE "; mov $0xffff, %eax; lmsw %ax;" PROBE
	    "; clts; mov $-1, %rbx; smsw %ebx; mov $-1, %rcx; smsw %cx");
	m_probe(&m);
	CHECK_EQ(GET(&m, CR0), CR0_PG | CR0_NE | 0x10 | CR0_PE);
	m_probe(&m);
	CHECK_EQ(GET(&m, CR0), CR0_PG | CR0_NE | 0x10 | 0xf);
	m_end(&m);
	CHECK_EQ(GET(&m, CR0) & 0xf, 7);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0x37);
	CHECK_EQ(GET(&m, RCX), 0xffffffffffff0037);
	m_close(&m);
}

TEST_MAIN()
