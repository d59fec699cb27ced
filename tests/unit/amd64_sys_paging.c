/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_paging.c - chapter 4: access rights, page-fault error codes, reserved bits, accessed
 * and dirty flags, page sizes, PDPTE registers. amd64_sys_tlb.c has what is cached.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define	MAXPHYADDR	41		/* CPUID.80000008H:EAX */

static const enum mode paged[] = { PG32, PAE32, LM64 };

/* The entry that refers to the page table of the first 2 or 4 MiB, and CR3's table above. */
static uint64_t
pde_at(const struct mach *m)
{
	return (m->mode == PG32 ? PD32 : PD);
}

static unsigned
entry_size(const struct mach *m)
{
	return (m->mode == PG32 ? 4 : 8);
}

/* 4.6.1: rights are the conjunction over the levels. */
TEST(rights_of_reads_and_writes)
{
	struct mach m;

	for (unsigned i = 0; i < 3 * 16 * 8; i++) {
		enum mode mode = paged[i / 128];
		/* bit 0 RW, bit 1 US */
		unsigned pde = i & 3, pte = i >> 2 & 3, cpl = (i & 16) != 0 ? 3 : 0;
		bool wp = (i & 32) != 0, write = (i & 64) != 0;
		bool us = (pde & pte & 2) != 0, rw = (pde & pte & 1) != 0, ok;
		char what[80];

		snprintf(what, sizeof(what), "mode %d pde %u pte %u cpl %u wp %d write %d", mode,
		    pde, pte, cpl, wp, write);
		m_open(&m);
		m.what = what;
		m_mode(&m, mode, cpl);
		SET(&m, CR0, GET(&m, CR0) | (wp ? CR0_WP : 0));
		/* A table of its own for the second region: its page 0 is DATA. */
		m_poke(&m, pde_at(&m) + entry_size(&m), PTX | PG_P | pde << 1, entry_size(&m));
		m_fill(&m, PTX, 0, 0x1000);
		m_poke(&m, PTX, DATA | PG_P | pte << 1, entry_size(&m));
		SET(&m, RBX, mode == PG32 ? 0x400000 : 0x200000);
		if (write)
			ASM(&m, 32, "movl %eax, (%ebx)");
		else
			ASM(&m, 32, "movl (%ebx), %eax");
		if (cpl == 3)
			ok = us && (!write || rw);
		else
			ok = !write || rw || !wp;
		if (ok)
			m_end(&m);
		else {
			m_expect(&m, PF, PFE_P | (write ? PFE_W : 0) | (cpl == 3 ? PFE_U : 0));
			CHECK_EQ(GET(&m, CR2), GET(&m, RBX));
			/* 4.8: no dirty flag by a fault */
			CHECK_EQ(m_peek(&m, PTX, 1) & PG_D, 0);
		}
		m_close(&m);
	}
}

/* 4.6.1, instruction fetches: U/S, NX, SMEP; 4.7: the I/D flag. */
TEST(rights_of_fetches)
{
	struct mach m;
	bool smep;

	m_open(&m);
	smep = (m_cpuid(&m, 0, 0, 'a') >= 7) && (m_cpuid(&m, 7, 0, 'b') >> 7 & 1) != 0;
	m_close(&m);
	for (unsigned i = 0; i < 3 * 64; i++) {
		enum mode mode = paged[i / 64];
		bool user = (i & 1) != 0, nx = (i & 2) != 0, pde_nx = (i & 4) != 0,
		    nxe = (i & 8) != 0, sm = (i & 16) != 0;
		unsigned cpl = (i & 32) != 0 ? 3 : 0;
		bool ok, rsv, id;
		char what[80];

		if ((mode == PG32 && (nx || pde_nx || nxe)) || (sm && !smep))
			continue;
		snprintf(what, sizeof(what), "mode %d user %d nx %d %d nxe %d smep %d cpl %u", mode,
		    user, nx, pde_nx, nxe,
		    sm, cpl);
		m_open(&m);
		m.what = what;
		m_mode(&m, mode, cpl);
		if (nxe)
			SET(&m, EFER, GET(&m, EFER) | EFER_NXE);
		/* Everything that runs at level 0 must be supervisor pages then. */
		m_pte(&m, STUBS, STUBS | PG_P | PG_RW);
		m_pte(&m, CODE, CODE | PG_P | (cpl == 3 ? PG_US : 0));
		SET(&m, CR4, GET(&m, CR4) | (sm ? CR4_SMEP : 0));
		m_poke(&m, pde_at(&m) + entry_size(&m), PTX | PG_ALL | (pde_nx ? PG_NX : 0),
		    entry_size(&m));
		m_fill(&m, PTX, 0, 0x1000);
		m_poke(&m, PTX, DATA | PG_P | PG_RW | (user ? PG_US : 0) | (nx ? PG_NX : 0),
		    entry_size(&m));
		m_bytes(&m, DATA, "\xe6\xf4", 2);
		SET(&m, RBX, mode == PG32 ? 0x400000 : 0x200000);
		ASM(&m, 32, "jmp *%ebx");
		rsv = (nx || pde_nx) && !nxe;			/* bit 63 is reserved then */
		ok = !rsv && !(nx || pde_nx) && (cpl == 3 ? user : !user || !sm);
		id = sm || nxe;
		if (ok)
			m_end(&m);
		else {
			m_expect(&m, PF, PFE_P | (rsv ? PFE_RSV : 0) | (cpl == 3 ? PFE_U :
			    0) | (id ? PFE_I : 0));
			CHECK_EQ(GET(&m, CR2), GET(&m, RBX));
			CHECK_EQ(m.f.rip, GET(&m, RBX));
		}
		m_close(&m);
	}
}

/* A fetch that is not present has P clear and I/D by the same rule. */
TEST(fetch_from_a_missing_page)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "mov $0x40123, %eax; jmp *%rax");
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(GET(&m, CR2), 0x40123);
	CHECK_EQ(m.f.rip, 0x40123);
	m_mode(&m, LM64, 3);
	SET(&m, EFER, GET(&m, EFER) | EFER_NXE);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "mov $0x40123, %eax; jmp *%rax");
	m_expect(&m, PF, PFE_U | PFE_I);
	/* With 32-bit paging NXE does not count. */
	m_mode(&m, PG32, 3);
	SET(&m, EFER, EFER_NXE);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov $0x40123, %eax; jmp *%eax");
	m_expect(&m, PF, PFE_U);
	/* Across a page: CR2 is the first byte of the missing page, RIP the instruction. */
	m_mode(&m, LM64, 3);
	m_bytes(&m, DATA + 0xffd, "\x48\xb8\x01", 3);
	m_pte(&m, DATA + 0x1000, 0);
	SET(&m, RIP, DATA + 0xffd);
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(GET(&m, CR2), DATA + 0x1000);
	CHECK_EQ(m.f.rip, DATA + 0xffd);
	/* Repaired, it goes on. */
	m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_ALL);
	m_bytes(&m, DATA + 0x1000, "\x02\x03\x04\x05\x06\x07\x08\xe6\xf4", 9);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x0807060504030201);
	m_close(&m);
}

/* 4.6: SMAP. */
TEST(smap)
{
	struct mach m;

	m_open(&m);
	if (m_cpuid(&m, 0, 0, 'a') < 7 || (m_cpuid(&m, 7, 0, 'b') >> 20 & 1) == 0)
		SKIP("the processor has no SMAP");
	for (unsigned i = 0; i < 16; i++) {
		bool ac = (i & 1) != 0, write = (i & 2) != 0, user = (i & 4) != 0,
		    wp = (i & 8) != 0;

		m_mode(&m, LM64, 0);
		for (uint64_t p = 0; p < 0x40000; p += 0x1000)
			m_pte(&m, p, p | PG_P | PG_RW);
		m_pte(&m, DATA, DATA | PG_P | PG_RW | (user ? PG_US : 0));
		SET(&m, CR4, CR4_PAE | CR4_SMAP);
		SET(&m, CR0, GET(&m, CR0) | (wp ? CR0_WP : 0));
		SET(&m, RFLAGS, 2 | (ac ? FL_AC : 0));
		if (write)
			ASM(&m, 64, "mov %eax, 0x40000");
		else
			ASM(&m, 64, "mov 0x40000, %eax");
		if (!user || ac)
			m_end(&m);
		else
			m_expect(&m, PF, PFE_P | (write ? PFE_W : 0));
	}
	/* STAC and CLAC. */
	m_mode(&m, LM64, 0);
	for (uint64_t p = 0; p < 0x40000; p += 0x1000)
		m_pte(&m, p, p | PG_P | PG_RW);
	SET(&m, CR4, CR4_PAE | CR4_SMAP);
	ASM(&m, 64, "stac; mov 0x40000, %eax; clac; mov 0x40000, %eax");
	m_expect(&m, PF, PFE_P);
	CHECK_EQ(m.f.flags & FL_AC, 0);
	CHECK_EQ(m.f.rip, CODE + 3 + 7 + 3);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "stac");
	m_expect(&m, UD, NOERR);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "clac");
	m_expect(&m, UD, NOERR);
	/*
	 * Implicit supervisor accesses are refused whatever AC says: a GDT in a user page, used
	 * at level 3.
	 */
	m_mode(&m, LM64, 3);
	SET(&m, CR4, CR4_PAE | CR4_SMAP);
	for (uint64_t p = 0; p < 0x10000; p += 0x1000)
		m_pte(&m, p, p | PG_P | PG_RW);
	m_pte(&m, STUBS, STUBS | PG_P | PG_RW);
	m_pte(&m, KSTACK - 0x1000, (KSTACK - 0x1000) | PG_P | PG_RW);
	m_pte(&m, GDT, GDT | PG_ALL);
	SET(&m, RFLAGS, 2 | FL_AC);
	/*
	 * The gate needs the GDT as well, so it has to be another one by then: the fault's
	 * delivery fails.
	 */
	ASM(&m, 64, "mov $0x3b, %eax; mov %eax, %es");
	m_shutdown(&m);
	m_close(&m);
}

/* 4.6.1: accesses of the processor to its tables are supervisor accesses at every level. */
TEST(implicit_accesses_are_supervisor_ones)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	for (uint64_t p = 0; p < 0x10000; p += 0x1000)
		m_pte(&m, p, p | PG_P | PG_RW);
	m_pte(&m, STUBS, STUBS | PG_P);
	m_pte(&m, KSTACK - 0x1000, (KSTACK - 0x1000) | PG_P | PG_RW);
	ASM(&m, 64, "mov $0x3b, %eax; mov %eax, %es; out %al, $0xec; mov 0x2000, %al");
	m_probe(&m);
	m_expect(&m, PF, PFE_P | PFE_U);
	CHECK_EQ(GET(&m, CR2), GDT);
	/*
	 * The accessed flag of a descriptor is such a write: with WP and a read-only table it
	 * faults.
	 */
	m_mode(&m, LM64, 3);
	SET(&m, CR0, GET(&m, CR0) | CR0_WP);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0xf2, 0xc));
	m_pte(&m, GDT, GDT | PG_P);
	ASM(&m, 64, "mov $0x103, %eax; mov %eax, %es");
	m_expect(&m, PF, PFE_P | PFE_W);
	CHECK_EQ(GET(&m, CR2) & ~7ULL, GDT + S_FREE);
	m_mode(&m, LM64, 3);
	SET(&m, CR0, GET(&m, CR0) & ~(uint64_t)CR0_WP);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0xf2, 0xc));
	m_pte(&m, GDT, GDT | PG_P);
	ASM(&m, 64, "mov $0x103, %eax; mov %eax, %es");
	m_end(&m);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 5, 1), 0xf3);
	m_close(&m);
}

/* 4.3, 4.4.2, 4.5: reserved bits, level by level.  A reserved bit faults with RSVD and P. */

struct rsvd {
	enum mode	 mode;
	const char	*what;
	uint64_t	 gpa;		/* entry */
	uint64_t	 set;		/* bits added to it */
	uint64_t	 lin;		/* an access through it */
	bool		 fault;
};

TEST(reserved_bits)
{
	static const struct rsvd t[] = {
		{ LM64, "PTE bit 41", PT + 8 * (DATA >> 12), 1ULL << MAXPHYADDR, DATA, true },
		{ LM64, "PTE bit 51", PT + 8 * (DATA >> 12), 1ULL << 51, DATA, true },
		{ LM64, "PTE bits 52-62 are ignored", PT + 8 * (DATA >> 12), 0x7ffULL << 52, DATA,
		    false },
		{ LM64, "PTE bits 9-11 are ignored", PT + 8 * (DATA >> 12), 0xe00, DATA, false },
		{ LM64, "PTE bit 7 is PAT", PT + 8 * (DATA >> 12), 0x80, DATA, false },
		{ LM64, "PTE XD without NXE", PT + 8 * (DATA >> 12), PG_NX, DATA, true },
		{ LM64, "PDE XD without NXE", PD + 8, PG_NX, 0x200000, true },
		{ LM64, "PDE 2M bit 13", PD + 8, 1 << 13, 0x200000, true },
		{ LM64, "PDE 2M bit 20", PD + 8, 1 << 20, 0x200000, true },
		{ LM64, "PDE 2M bit 12 is PAT", PD + 8, 1 << 12, 0x200000, false },
		{ LM64, "PDE bit 50", PD + 8, 1ULL << 50, 0x200000, true },
		{ LM64, "PDE bits 8-11 are ignored", PD, 0xe00, DATA, false },
		{ LM64, "PDPTE bit 41", PDPT, 1ULL << MAXPHYADDR, 0x200000, true },
		{ LM64, "PDPTE XD without NXE", PDPT, PG_NX, 0x200000, true },
		{ LM64, "PDPTE bits 52-62 are ignored", PDPT, 0x7ffULL << 52, 0x200000, false },
		{ LM64, "PML4E bit 7", PML4 + 8, PG_PS | PDPT | PG_ALL, 0x8000000000, true },
		{ LM64, "PML4E bit 47", PML4 + 8, 1ULL << 47 | PDPT | PG_ALL, 0x8000000000, true },
		{ LM64, "PML4E bits 8-11 are ignored", PML4 + 8, 0xf00 | PDPT | PG_ALL,
		    0x8000200000, false },
		{ LM64, "not present: nothing is reserved", PML4 + 16, 1ULL << 50, 0x10000000000,
		    false },
		{ PAE32, "PTE bit 41", PT + 8 * (DATA >> 12), 1ULL << MAXPHYADDR, DATA, true },
		/* 4.4.2: with PAE paging bits 62:MAXPHYADDR are all reserved. */
		{ PAE32, "PTE bit 62", PT + 8 * (DATA >> 12), 1ULL << 62, DATA, true },
		{ PAE32, "PTE bit 52", PT + 8 * (DATA >> 12), 1ULL << 52, DATA, true },
		{ PAE32, "PTE XD without NXE", PT + 8 * (DATA >> 12), PG_NX, DATA, true },
		{ PAE32, "PDE bit 55", PD + 8, 1ULL << 55, 0x200000, true },
		{ PAE32, "PDE 2M bit 13", PD + 8, 1 << 13, 0x200000, true },
		{ PAE32, "PTE bits 9-11 are ignored", PT + 8 * (DATA >> 12), 0xe00, DATA, false },
		/*
		 * 4.3, table 4-4: of a 4M page bits 20:13 are address bits 39:32, bit 21 is
		 * reserved.
		 */
		{ PG32, "PDE 4M bit 21", PD32 + 4, 1 << 21, 0x400000, true },
		{ PG32, "PDE 4M bit 12 is PAT", PD32 + 4, 1 << 12, 0x400000, false },
		{ PG32, "PTE has no reserved bits", PT32 + 4 * (DATA >> 12), 0xe80, DATA, false },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
			bool missing = t[i].gpa == PML4 + 16;
			unsigned u = cpl == 3 ? PFE_U : 0;

			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, t[i].mode, cpl);
			m_poke(&m, t[i].gpa, m_peek(&m, t[i].gpa, entry_size(&m)) | t[i].set,
			    entry_size(&m));
			SET(&m, RBX, t[i].lin);
			if (t[i].mode == LM64)
				ASM(&m, 64, "mov (%rbx), %eax");
			else
				ASM(&m, 32, "mov (%ebx), %eax");
			/*
			 * Tables that everything goes through cannot even run the handler: it is
			 * a triple fault.
			 */
			if (t[i].fault && (t[i].gpa == PDPT))
				m_shutdown(&m);
			else if (missing)
				m_expect(&m, PF, u);
			else if (t[i].fault) {
				m_expect(&m, PF, PFE_P | PFE_RSV | u);
				CHECK_EQ(GET(&m, CR2), t[i].lin);
			} else
				m_end(&m);
			m_close(&m);
		}
	}
	/*
	 * A reserved bit comes before missing rights: both are in one error code, RSVD says
	 * which.
	 */
	m_open(&m);
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, DATA | PG_P | 1ULL << 50);
	ASM(&m, 64, "mov %eax, 0x40000");
	m_expect(&m, PF, PFE_P | PFE_RSV | PFE_W | PFE_U);
	m_close(&m);
}

/* 4.8 */
TEST(accessed_and_dirty)
{
	struct mach m;

	for (unsigned i = 0; i < 3; i++) {
		unsigned w;

		m_open(&m);
		m_mode(&m, paged[i], 3);
		w = entry_size(&m);
		m_poke(&m, pde_at(&m) + w, PTX | PG_ALL, w);
		m_fill(&m, PTX, 0, 0x1000);
		for (unsigned p = 0; p < 8; p++)
			m_poke(&m, PTX + p * w, DATA | PG_P | PG_US | (p == 4 ? 0 : PG_RW), w);
		SET(&m, RBX, paged[i] == PG32 ? 0x400000 : 0x200000);
		ASM(&m, 32,
		    PROBE "; movl (%ebx), %eax;" PROBE "; movl %eax, 0x1000(%ebx);" PROBE
		    "; movl %eax, (%ebx);" PROBE "; addl $1, 0x2000(%ebx);" PROBE
		    "; cmpl $1, 0x3000(%ebx);" PROBE "; movl %eax, 0x4000(%ebx)");
		m_probe(&m);
		CHECK_EQ(m_peek(&m, pde_at(&m) + w, w), PTX | PG_ALL);
		m_probe(&m);			/* a read: accessed, at both levels */
		CHECK_EQ(m_peek(&m, PTX, w), DATA | PG_ALL | PG_A);
		CHECK_EQ(m_peek(&m, pde_at(&m) + w, w), PTX | PG_ALL | PG_A);
		CHECK_EQ(m_peek(&m, PTX + w, w), DATA | PG_ALL);
		m_probe(&m);			/* a write */
		CHECK_EQ(m_peek(&m, PTX + w, w), DATA | PG_ALL | PG_A | PG_D);
		CHECK_EQ(m_peek(&m, pde_at(&m) + w, w), PTX | PG_ALL | PG_A);
		m_probe(&m);			/* a write after a read */
		CHECK_EQ(m_peek(&m, PTX, w), DATA | PG_ALL | PG_A | PG_D);
		m_probe(&m);			/* read and write */
		CHECK_EQ(m_peek(&m, PTX + 2 * w, w), DATA | PG_ALL | PG_A | PG_D);
		m_probe(&m);
		CHECK_EQ(m_peek(&m, PTX + 3 * w, w), DATA | PG_ALL | PG_A);
		m_expect(&m, PF, PFE_P | PFE_W | PFE_U);
		CHECK_EQ(m_peek(&m, PTX + 4 * w, w) & ~PG_A, DATA | PG_P | PG_US);
		m_close(&m);
	}
}

TEST(accessed_and_dirty_of_other_accesses)
{
	struct mach m;

	/* A fetch sets accessed, up to the root. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "nop");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, CODE), CODE | PG_ALL | PG_A);
	CHECK_EQ(m_peek(&m, PML4, 8), PDPT | PG_ALL | PG_A);
	CHECK_EQ(m_peek(&m, PDPT, 8), PD | PG_ALL | PG_A);
	CHECK_EQ(m_peek(&m, PD, 8), PT | PG_ALL | PG_A);
	CHECK_EQ(m_pte_get(&m, CODE + 0x1000), (CODE + 0x1000) | PG_ALL);

	/* Large pages have a dirty flag. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov 0x200000, %eax; mov %eax, 0x400000");
	m_end(&m);
	CHECK_EQ(m_peek(&m, PD + 8, 8), 0x200000 | PG_ALL | PG_PS | PG_A);
	CHECK_EQ(m_peek(&m, PD + 16, 8), 0x400000 | PG_ALL | PG_PS | PG_A | PG_D);

	/* Both pages of an access that spans two. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov %rax, 0x40ffc");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA), DATA | PG_ALL | PG_A | PG_D);
	CHECK_EQ(m_pte_get(&m, DATA + 0x1000), (DATA + 0x1000) | PG_ALL | PG_A | PG_D);

	/* Neither is dirty if the second one faults: nothing was written. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 64, "mov %rax, 0x40ffc");
	m_expect(&m, PF, PFE_W);
	CHECK_EQ(GET(&m, CR2), DATA + 0x1000);
	CHECK_EQ(m_pte_get(&m, DATA + 0x1000), 0);

	/* The first one's fault is reported first. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, 0);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 64, "mov %rax, 0x40ffc");
	m_expect(&m, PF, PFE_W);
	CHECK_EQ(GET(&m, CR2), DATA + 0xffc);

	/* CMPXCHG writes whatever the comparison says (vol. 2, CMPXCHG). */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $5, %eax; lock cmpxchg %ecx, 0x40000");
	m_end(&m);
	CHECK_EQ(m_pte_get(&m, DATA), DATA | PG_ALL | PG_A | PG_D);
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, DATA | PG_P | PG_US);
	ASM(&m, 64, "mov $5, %eax; cmpxchg %ecx, 0x40000");
	m_expect(&m, PF, PFE_P | PFE_W | PFE_U);
	CHECK_EQ(GET(&m, RAX), 5);

	/* A read-modify-write instruction faults as a write, also when not present. */
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "add %eax, 0x40000");
	m_expect(&m, PF, PFE_W | PFE_U);

	/* The tables are read and written by physical address: no entry of theirs is marked. */
	CHECK_EQ(m_pte_get(&m, PT), PT | PG_ALL);
	m_close(&m);
}

/*
 * Sizes of pages and the physical addresses they give. Where there is no memory the access comes
 * out, with its address.
 */
static void
read_at(struct mach *m, uint64_t lin, uint64_t gpa)
{
	SET(m, RBX, lin);
	if (m->mode == LM64)
		ASM(m, 64, "mov (%rbx), %al");
	else
		ASM(m, 32, "mov (%ebx), %al");
	m_run(m);
	CHECKF(m->ex.code == VM_EXIT_MMIO && !m->ex.u.mmio.write, "%s: exit %d, vector %d", m->what,
	    m->ex.code,
	    m_vector(m));
	CHECK_EQ(m->ex.u.mmio.gpa, gpa);
}

TEST(page_sizes)
{
	struct mach m;
	bool gb;

	m_open(&m);
	m.what = "4M";
	m_mode(&m, PG32, 0);
	m_poke(&m, PD32 + 4 * 0x300, 0xd0000000 | PG_ALL | PG_PS, 4);
	read_at(&m, 0xc0123456, 0xd0123456);
	m.what = "4M at its end";
	m_mode(&m, PG32, 0);
	m_poke(&m, PD32 + 4 * 0x3ff, 0xd0000000 | PG_ALL | PG_PS, 4);
	read_at(&m, 0xffffffff, 0xd03fffff);
	m.what = "PSE-36";
	m_mode(&m, PG32, 0);
	m_poke(&m, PD32 + 4 * 0x300, 0xd0000000 | PG_ALL | PG_PS | 0xa5 << 13, 4);
	read_at(&m, 0xc0123456, 0xa5d0123456);
	m.what = "PS without CR4.PSE is ignored";
	m_mode(&m, PG32, 0);
	SET(&m, CR4, 0);
	for (unsigned i = 0; i < 1024; i++)
		m_poke(&m, PTX + 4 * i, i << 12 | (uint32_t)PG_ALL, 4);
	m_poke(&m, PTX + 4 * 0x123, 0xe5678000 | PG_ALL, 4);
	m_poke(&m, PD32 + 4 * 0x300, PTX | PG_ALL | PG_PS, 4);
	read_at(&m, 0xc0123456, 0xe5678456);
	m.what = "4K of 32-bit paging";
	m_mode(&m, PG32, 0);
	m_poke(&m, PT32 + 4 * 0x40, 0xfffff000 - 0x10000000 + PG_ALL, 4);
	read_at(&m, 0x40fff, 0xefffffff);

	m.what = "2M of PAE";
	m_mode(&m, PAE32, 0);
	m_poke(&m, PAEPDPT + 24, PTX | PG_P, 8);
	m_fill(&m, PTX, 0, 0x1000);
	m_poke(&m, PTX + 8 * 511, 0x180ffe00000 | PG_ALL | PG_PS, 8);
	SET(&m, PDPTE3, PTX | PG_P);
	read_at(&m, 0xfff12345, 0x180fff12345);
	m.what = "4K of PAE";
	m_mode(&m, PAE32, 0);
	m_pte(&m, DATA, 0x1fffffff000 | PG_ALL);
	read_at(&m, DATA + 0x123, 0x1fffffff123);

	m.what = "2M";
	m_mode(&m, LM64, 0);
	m_poke(&m, PD + 8 * 511, 0x1ffffe00000 | PG_ALL | PG_PS, 8);
	read_at(&m, 0x3fffffff, 0x1ffffffffff);
	m.what = "4K in the upper half";
	m_mode(&m, LM64, 0);
	m_poke(&m, PML4 + 8 * 256, PDPT | PG_ALL, 8);
	m_pte(&m, DATA, 0x15678901000 | PG_ALL);
	read_at(&m, 0xffff800000040321, 0x15678901321);
	m.what = "the top of the address space";
	m_mode(&m, LM64, 0);
	m_poke(&m, PML4 + 8 * 511, PTX | PG_ALL, 8);
	m_fill(&m, PTX, 0, 0x1000);
	m_poke(&m, PTX + 8 * 511, PD | PG_ALL, 8);
	m_poke(&m, PD + 8 * 511, 0x18000000000 | PG_ALL | PG_PS, 8);
	read_at(&m, 0xffffffffffffffff, 0x180001fffff);

	gb = (m_cpuid(&m, 0x80000001, 0, 'd') >> 26 & 1) != 0;
	m.what = "1G";
	m_mode(&m, LM64, 0);
	m_poke(&m, PDPT + 8 * 5, 0x14000000000 | PG_ALL | PG_PS, 8);
	if (gb) {
		read_at(&m, 0x17edcba98, 0x1403edcba98);
		CHECK_EQ(m_peek(&m, PDPT + 8 * 5, 8), 0x14000000000 | PG_ALL | PG_PS | PG_A);
		for (unsigned bit = 13; bit < 30; bit += 8) {
			m_mode(&m, LM64, 0);
			m_poke(&m, PDPT + 8 * 5, 0x14000000000 | PG_ALL | PG_PS | 1ULL << bit, 8);
			ASM(&m, 64, "movabs 0x140000000, %al");
			m_expect(&m, PF, PFE_P | PFE_RSV);
		}
	} else {
		/* Without 1G pages the bit is reserved. */
		ASM(&m, 64, "movabs 0x17edcba98, %al");
		m_expect(&m, PF, PFE_P | PFE_RSV);
	}
	m_close(&m);
}

/* 4.4.1: the four PDPTEs are registers. */
TEST(pdpte_registers)
{
	struct mach m;

	/* MOV to CR3 loads them; what is in memory later does not matter. */
	m_open(&m);
	m_mode(&m, PAE32, 0);
	m_fill(&m, PAEPDPT, 0, 32);
	ASM(&m, 32, "mov 0x40000, %al;" PROBE "; mov $0xe020, %eax; mov %eax, %cr3;"
	    "movl $0, 0xe020; mov 0x41000, %al;" PROBE);
	m_bytes(&m, PAEPDPT + 0x20, (uint64_t[]){ PD | PG_P, 0, 0, PD | PG_P | 0xe00 }, 32);
	m_probe(&m);
	m_probe(&m);
	CHECK_EQ(GET(&m, PDPTE0), PD | PG_P);
	CHECK_EQ(GET(&m, PDPTE1), 0);
	CHECK_EQ(GET(&m, PDPTE3) & ~0xe00ULL, PD | PG_P);
	/* A missing one: an ordinary page fault. */
	m_mode(&m, PAE32, 3);
	ASM(&m, 32, "mov 0x40000000, %al");
	m_expect(&m, PF, PFE_U);
	/* Bits 4:0 of CR3 are no part of the address. */
	m_mode(&m, PAE32, 0);
	ASM(&m, 32, "mov $0xe01f, %eax; mov %eax, %cr3");
	m_end(&m);
	CHECK_EQ(GET(&m, PDPTE0), PD | PG_P);
	/* Reserved bits in any present one: #GP(0), and CR3 is as before. */
	static const uint64_t bad[] = { PG_RW, PG_US, 0x20, 0x40, 0x80, 0x100, 1ULL << MAXPHYADDR,
	    1ULL << 62, PG_NX };
	for (size_t i = 0; i < nitems(bad); i++) {
		m_mode(&m, PAE32, 0);
		SET(&m, EFER, EFER_NXE);
		m_fill(&m, PTX, 0, 0x1000);
		m_poke(&m, PTX, PD | PG_P, 8);
		m_poke(&m, PTX + 8 * (i % 3 + 1), PD | PG_P | bad[i], 8);
		ASM(&m, 32, "mov $0xf000, %eax; mov %eax, %cr3");
		m_expect(&m, GP, 0);
		CHECK_EQ(GET(&m, CR3), PAEPDPT);
		CHECK_EQ(GET(&m, PDPTE1), 0);
		m_mode(&m, PAE32, 0);
		m_fill(&m, PTX, 0, 0x1000);
		m_poke(&m, PTX, PD | PG_P, 8);
		m_poke(&m, PTX + 8 * (i % 3 + 1), bad[i], 8);		/* not present: ignored */
		ASM(&m, 32, "mov $0xf000, %eax; mov %eax, %cr3");
		m_end(&m);
	}
	/* Changes of CR0.CD, CR4.PGE, PSE, SMEP load them too. */
	m_mode(&m, PAE32, 0);
	m_poke(&m, PAEPDPT + 8, PD | PG_P, 8);
	ASM(&m, 32, "mov %cr4, %eax; or $0x80, %eax; mov %eax, %cr4");
	m_end(&m);
	CHECK_EQ(GET(&m, PDPTE1), PD | PG_P);
	m_mode(&m, PAE32, 0);
	m_poke(&m, PAEPDPT + 8, PD | PG_P | PG_RW, 8);
	ASM(&m, 32, "mov %cr4, %eax; or $0x10, %eax; mov %eax, %cr4");
	m_expect(&m, GP, 0);
	CHECK_EQ(GET(&m, CR4), CR4_PAE);
	m_mode(&m, PAE32, 0);
	m_poke(&m, PAEPDPT + 8, PD | PG_P, 8);
	ASM(&m, 32, "mov %cr0, %eax; or $0x40000000, %eax; mov %eax, %cr0");
	m_end(&m);
	CHECK_EQ(GET(&m, PDPTE1), PD | PG_P);
	/* So does switching paging on, with #GP(0) for what is wrong. */
	m_mode(&m, PM32, 0);
	SET(&m, CR3, PAEPDPT);
	SET(&m, CR4, CR4_PAE);
	m_poke(&m, PAEPDPT + 16, 0x12345 | PG_P, 8);
	ASM(&m, 32, "mov %cr0, %eax; bts $31, %eax; mov %eax, %cr0");
	m_expect(&m, GP, 0);
	CHECK_EQ(GET(&m, CR0) & CR0_PG, 0);
	m_close(&m);
}

/* 4.1: with paging off addresses are physical; linear addresses of 32 bits wrap. */
TEST(addresses_without_paging_and_wrap)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	m.what = "no paging";
	read_at(&m, 0xd0123456, 0xd0123456);
	m_mode(&m, PM32, 0);
	m_poke(&m, 0, 0xab, 1);
	ASM(&m, 32, "mov $0xffffffff, %ebx; mov 1(%ebx), %al");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0xab);
	/* Base and offset wrap at 4 GiB outside of 64-bit mode, also with paging. */
	m_mode(&m, PG32, 0);
	m_desc(&m, VM_AMD64_REG_FS, S_DATA, 0xfffff000, 0xffffffff, 0xc093);
	m_poke(&m, DATA, 0xcd, 1);
	ASM(&m, 32, "mov %fs:0x41000, %al");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0xcd);
	/* In compatibility mode linear addresses have 32 bits. */
	m_mode(&m, CM32, 0);
	m_desc(&m, VM_AMD64_REG_FS, S_DATA, 0xfffff000, 0xffffffff, 0xc093);
	m_poke(&m, DATA, 0xcd, 1);
	ASM(&m, 32, "mov %fs:0x41000, %al");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0xcd);
	/*
	 * An address size of 32 bits in 64-bit code cuts the effective address before the base is
	 * added.
	 */
	m_mode(&m, LM64, 0);
	m_poke(&m, DATA, 0xee, 1);
	SET(&m, FS_BASE, 0x1000);
	ASM(&m, 64, "movabs $0x12345678ffffffff, %rbx; mov %fs:0x3f001(%ebx), %al");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0xee);
	m_close(&m);
}

TEST_MAIN()
