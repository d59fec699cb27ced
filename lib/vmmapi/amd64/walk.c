/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk.c - a walk of the guest's page tables for debuggers and copies (Intel SDM vol. 3 chapter 4):
 * no accessed or dirty bits are set and no fault is raised.  It is made as a supervisor access:
 * user pages are no obstacle, write protection (CR0.WP) and execute-disable (EFER.NXE) are.
 */
#include <string.h>

#include "amd64.h"

#define	PTE_P		0x001ULL
#define	PTE_W		0x002ULL
#define	PTE_PS		0x080ULL
#define	PTE_XD		(1ULL << 63)
#define	PTE_ADDR	0x000ffffffffff000ULL
#define	PTE32_ADDR	0xfffff000U

/* What the walk so far allows. */
struct walk {
	struct vcpu	*vcpu;
	uint64_t	gva;
	int		prot;		/* wanted */
	bool		pae;		/* bits 62 to 52 are reserved (4.4.2) */
	bool		writable;
	bool		nx;
	bool		wide;		/* 4- or 5-level paging */
};

/* Read a naturally aligned table entry: RAM or ROM, never a device.  false: there is no memory. */
static bool
read_entry(struct vcpu *vcpu, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct vmctx *vm = vcpu->vm;
	struct vm_mapping *map;
	const void *host;
	bool found = false;

	gpa &= amd64_phys_mask(vm);
	host = vm_map_read(vm, gpa, size);
	if (host != NULL) {
		/* A running vCPU may be writing it: one load. */
		*entry = size == 4 ? __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED) :
		    __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED);
		return (true);
	}
	/* Firmware keeps its first tables in ROM. */
	pthread_rwlock_rdlock(&vm->map_lock);
	map = mem_lookup(vm, gpa);
	if (map != NULL && (map->prot & VM_PROT_READ) != 0) {
		*entry = 0;
		memcpy(entry, map->host + (gpa - map->gpa), size);
		found = true;
	}
	pthread_rwlock_unlock(&vm->map_lock);
	return (found);
}

/* Take in one level's entry.  false: the guest would fault. */
static bool
take(struct walk *w, uint64_t entry, uint64_t reserved)
{
	const struct amd64_state *st = w->vcpu->state;

	if ((entry & PTE_P) == 0 || (entry & reserved) != 0)
		return (false);
	if ((entry & PTE_XD) != 0) {
		/* Reserved while the feature is off (4.1.4). */
		if ((st->efer & EFER_NXE) == 0)
			return (false);
		w->nx = true;
	}
	if ((entry & PTE_W) == 0)
		w->writable = false;
	return (true);
}

/* A leaf was found: base of the page, 1 << shift bytes. */
static bool
leaf(struct walk *w, uint64_t base, unsigned shift, uint64_t *gpa)
{
	const struct amd64_state *st = w->vcpu->state;
	uint64_t off = (1ULL << shift) - 1;

	if ((w->prot & VM_PROT_WRITE) != 0 && !w->writable && (st->cr0 & CR0_WP) != 0)
		return (false);
	if ((w->prot & VM_PROT_EXEC) != 0 && w->nx)
		return (false);
	*gpa = (base & ~off) | (w->gva & off);
	return (true);
}

/* Address bits that no entry of 64 bits may have. */
#define	RESERVED64	(PTE_ADDR & ~(AMD64_MAXPA - 1))

/*
 * Page directory and table of PAE and long mode; also the levels above them from `level' down (4.4,
 * 4.5).
 */
static bool
walk64(struct walk *w, uint64_t table, unsigned level, uint64_t *gpa)
{
	uint64_t entry;

	for (; level > 0; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t reserved = RESERVED64 | (w->pae ? 0x7ff0000000000000ULL : 0);

		/* Without 4-level paging the ignored bits below XD are reserved too (4.4.2). */
		if (!w->wide)
			reserved |= 0x7ff0000000000000ULL;
		if (!read_entry(w->vcpu, table + 8 * ((w->gva >> shift) & 0x1ff), 8, &entry))
			return (false);
		/* PS: a page at levels 2 and 3, reserved above them, the PAT bit at level 1. */
		if (level > 3)
			reserved |= PTE_PS;
		if (level > 1 && level <= 3 && (entry & PTE_PS) != 0) {
			/*
			 * Bit 12 of a large page is its PAT bit; the others below the address are
			 * reserved.
			 */
			reserved |= ((1ULL << shift) - 1) & ~0x1fffULL;
			return (take(w, entry, reserved) && leaf(w, entry & PTE_ADDR, shift, gpa));
		}
		if (!take(w, entry, reserved))
			return (false);
		table = entry & PTE_ADDR;
	}
	return (leaf(w, table, 12, gpa));
}

/* 32-bit paging (4.3). */
static bool
walk32(struct walk *w, uint64_t cr3, uint64_t *gpa)
{
	const struct amd64_state *st = w->vcpu->state;
	uint64_t entry;

	if (!read_entry(w->vcpu, (cr3 & PTE32_ADDR) + 4 * ((w->gva >> 22) & 0x3ff), 4, &entry))
		return (false);
	if ((entry & PTE_PS) != 0 && (st->cr4 & CR4_PSE) != 0) {
		/* PSE-36: bits 20 to 13 are address bits 39 to 32, bit 21 is reserved. */
		uint64_t base = (entry & 0xffc00000U) | (((entry >> 13) & 0xff) << 32);

		return (take(w, entry, 1ULL << 21) && leaf(w, base, 22, gpa));
	}
	if (!take(w, entry, 0))
		return (false);
	if (!read_entry(w->vcpu, (entry & PTE32_ADDR) + 4 * ((w->gva >> 12) & 0x3ff), 4, &entry))
		return (false);
	return (take(w, entry, 0) && leaf(w, entry & PTE32_ADDR, 12, gpa));
}

/*
 * PAE (4.4): the four directory pointers are registers, loaded with CR3.  If none was loaded, as
 * after a loader has set the registers one by one, they are what CR3 points to.
 */
static bool
walk_pae(struct walk *w, uint64_t cr3, uint64_t *gpa)
{
	const struct amd64_state *st = w->vcpu->state;
	unsigned i = (w->gva >> 30) & 3;
	uint64_t entry = st->pdpte[i];

	if ((st->pdpte[0] | st->pdpte[1] | st->pdpte[2] | st->pdpte[3]) == 0 &&
	    !read_entry(w->vcpu, (cr3 & 0xffffffe0U) + 8 * i, 8, &entry))
		return (false);
	/* They have no permissions; bits 2:1 and 8:5 are reserved (table 4-8). */
	if ((entry & PTE_P) == 0 || (entry & (RESERVED64 | 0xfff00000000001e6ULL)) != 0)
		return (false);
	w->pae = true;
	return (walk64(w, entry & PTE_ADDR, 2, gpa));
}

int
amd64_translate(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault)
{
	const struct amd64_state *st = vcpu->state;
	struct walk w = { .vcpu = vcpu, .gva = gva, .prot = prot, .writable = true,
	    .wide = (st->efer & EFER_LMA) != 0 };
	bool ok;

	/* Linear addresses have 32 bits outside of 64-bit mode. */
	if ((st->efer & EFER_LMA) == 0)
		w.gva = (uint32_t)gva;
	*fault = 0;
	*gpa = 0;
	if ((st->cr0 & CR0_PG) == 0) {
		*gpa = w.gva & amd64_phys_mask(vcpu->vm);
		return (0);
	}
	if ((st->efer & EFER_LMA) != 0) {
		ok = amd64_canonical(gva, st->cr4) &&
		    walk64(&w, st->cr3 & PTE_ADDR, (st->cr4 & CR4_LA57) != 0 ? 5 : 4, gpa);
	} else if ((st->cr4 & CR4_PAE) != 0) {
		ok = walk_pae(&w, st->cr3, gpa);
	} else {
		ok = walk32(&w, st->cr3, gpa);
	}
	*gpa &= amd64_phys_mask(vcpu->vm);
	*fault = ok ? 0 : 1;
	return (0);
}
