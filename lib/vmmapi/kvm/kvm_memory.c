/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_memory.c - guest memory of the kvm back end: slots of the kernel, and its log of what guests write.
 *
 * The log of a slot is a bitmap.  Reading it and protecting the pages anew is one call, during which vCPUs that write for the first time
 * wait; where the kernel can, it is two: the bitmap is read, and what a fetch is about is protected in pieces.  A store between the two is
 * seen by who reads the page after the fetch, and a page that was not in the bitmap stays for the next one.  Rings (kvm_ring.c) cost a
 * fetch what was written and not what there is, but memory for each vCPU: large VMs have them.
 *
 * A page that the kernel logged and that did not reach the VM's bitmap would be lost.  So where the log cannot be read any more (the
 * slot goes, or logging ends) all pages of the slot count as written.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_irq.h"

#define	RING_RAM	(UINT64_C(64) << 30)	/* bytes of RAM from which on rings are worth their memory */
#define	PIECE		(UINT64_C(1) << 14)	/* pages that are protected in one call: 64 MiB */

#ifdef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define	KVM_CAP_RING_BITMAP	KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#else
#define	KVM_CAP_RING_BITMAP	225		/* headers before Linux 6.2 do not name it */
#endif

static int
slot_set(struct kvm_vm *kv, unsigned n, size_t len)
{
	const struct kvm_slot *s = &kv->slots[n];
	struct kvm_userspace_memory_region r = { .slot = n,
		.flags = len == 0 ? 0 : s->flags,
		.guest_phys_addr = s->gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)s->host };

	return (kvm_ioctl(kv->vmfd, KVM_SET_USER_MEMORY_REGION, &r));
}

/* Every page of a slot may have been written. */
static void
slot_all(struct vmctx *vm, const struct kvm_slot *s)
{
	const uint64_t all = UINT64_MAX;
	size_t pages = s->len / VM_PAGE_SIZE;

	for (size_t i = 0; i < pages; i += 64)
		vm_dirty_or(vm, &vm->segs[s->segid], s->segoff + i * VM_PAGE_SIZE, &all, pages - i < 64 ? pages - i : 64);
}

/*
 * HYVE_KVM_LOG says which way to prefer, for tests: "whole", "pieces", "ring" or "ring=BYTES" of a vCPU's ring.  Which it became is part of
 * the back end's reason where somebody asked, or where it is a ring.
 */
void
kvm_log_choose(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);
	const char *env = secure_getenv("HYVE_KVM_LOG");
	struct kvm_enable_cap pieces = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE } };
	const char *how = NULL;
	uint64_t ram = 0;
	int flags;

	for (unsigned i = 0; i < vm->nram; i++)
		ram += vm->ram[i].len;
	flags = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	kv->log = KVM_LOG_WHOLE;
	/* A kernel that writes to memory on nobody's behalf logs that in bitmaps beside the rings: there are only those then. */
	if ((env != NULL ? strncmp(env, "ring", 4) == 0 : ram >= RING_RAM) && ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_RING_BITMAP) <= 0 &&
	    kvm_ring_enable(kv, env != NULL && env[4] == '=' ? (uint32_t)strtoul(env + 5, NULL, 0) : 0) == 0) {
		kv->log = KVM_LOG_RING;
		how = env != NULL ? "rings, as asked" : "rings, since it has much RAM";
	} else if ((env == NULL || strcmp(env, "whole") != 0) && flags > 0 && (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) != 0 &&
	    kvm_ioctl(kv->vmfd, KVM_ENABLE_CAP, &pieces) == 0) {
		kv->log = KVM_LOG_PIECES;
		how = env != NULL ? "bitmaps, protected in pieces" : NULL;
	} else if (env != NULL)
		how = "bitmaps, protected as they are read";
	if (how != NULL)
		(void)snprintf(vm->reason + strlen(vm->reason), sizeof(vm->reason) - strlen(vm->reason), "; writes logged by %s", how);
}

/* Take pages [first, end) of what was read, and protect them in pieces.  A piece that is not protected stays in the log. */
static int
slot_pieces(struct vmctx *vm, struct kvm_vm *kv, unsigned n, size_t first, size_t end)
{
	const struct kvm_slot *s = &kv->slots[n];
	size_t pages = s->len / VM_PAGE_SIZE;

	/* A piece begins at a multiple of 64, and has as many pages or goes to the slot's end. */
	first &= ~(size_t)63;
	end = end + 63 < pages ? (end + 63) & ~(size_t)63 : pages;
	for (size_t at = first, len; at < end; at += len) {
		struct kvm_clear_dirty_log clear = { .slot = n, .first_page = at, .dirty_bitmap = &kv->bitmap[at / 64] };
		bool any = false;

		len = end - at < PIECE ? end - at : PIECE;
		for (size_t w = at / 64; w < (at + len + 63) / 64; w++)
			any = any || kv->bitmap[w] != 0;
		if (!any)
			continue;
		vm_dirty_or(vm, &vm->segs[s->segid], s->segoff + at * VM_PAGE_SIZE, &kv->bitmap[at / 64], len);
		clear.num_pages = (uint32_t)len;
		if (kvm_ioctl(kv->vmfd, KVM_CLEAR_DIRTY_LOG, &clear) != 0)
			return (vm_fail_sys(errno, "vm '%s': kvm: dirty log of 0x%jx: it cannot be cleared", vm->name, (uintmax_t)s->gpa));
	}
	return (0);
}

/* Move what the kernel logged of a slot's pages [first, end), or more, into the VM's bitmap.  kv->lock is held. */
static int
slot_harvest(struct vmctx *vm, struct kvm_vm *kv, unsigned n, size_t first, size_t end)
{
	const struct kvm_slot *s = &kv->slots[n];
	struct kvm_dirty_log log = { .slot = n };
	size_t pages = s->len / VM_PAGE_SIZE, words = (pages + 63) / 64;
	uint64_t *more;

	if ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) == 0)
		return (0);
	if (kv->log == KVM_LOG_RING)
		return (kvm_ring_harvest(vm));
	if (words > kv->bitmaplen) {
		more = realloc(kv->bitmap, words * sizeof(*more));
		if (more == NULL)
			return (vm_fail(ENOMEM, "vm '%s': kvm: dirty bitmap: out of memory", vm->name));
		kv->bitmap = more;
		kv->bitmaplen = words;
	}
	log.dirty_bitmap = kv->bitmap;
	if (kvm_ioctl(kv->vmfd, KVM_GET_DIRTY_LOG, &log) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: dirty log of 0x%jx", vm->name, (uintmax_t)s->gpa));
	if (kv->log == KVM_LOG_PIECES)
		return (slot_pieces(vm, kv, n, first, end));
	vm_dirty_or(vm, &vm->segs[s->segid], s->segoff, kv->bitmap, pages);
	return (0);
}

/* The same where the log is about to go. */
static void
slot_last(struct vmctx *vm, struct kvm_vm *kv, unsigned n)
{
	if (slot_harvest(vm, kv, n, 0, kv->slots[n].len / VM_PAGE_SIZE) != 0)
		slot_all(vm, &kv->slots[n]);
}

int
kvm_mem_map(struct vmctx *vm, struct vm_mapping *map)
{
	struct kvm_vm *kv = kvm_vm(vm);
	struct kvm_slot *s, *more;
	unsigned n;
	int error = 0;

	pthread_mutex_lock(&kv->lock);
	for (n = 0; n < kv->nslots && kv->slots[n].used; n++)
		continue;
	if (n == kv->maxslots) {
		error = vm_fail(ENOSPC, "vm '%s': kvm has %u memory slots, and all are used: 0x%jx with 0x%zx bytes has none", vm->name,
		    kv->maxslots, (uintmax_t)map->gpa, map->len);
		goto out;
	}
	if (n == kv->nslots) {
		more = realloc(kv->slots, (n + 1) * sizeof(*more));
		if (more == NULL) {
			error = vm_fail(ENOMEM, "vm '%s': kvm: memory slots: out of memory", vm->name);
			goto out;
		}
		kv->slots = more;
		kv->nslots = n + 1;
	}
	s = &kv->slots[n];
	*s = (struct kvm_slot){ .used = true,
		.gpa = map->gpa,
		.len = map->len,
		.segoff = map->segoff,
		.segid = map->segid,
		.host = map->host };
	if ((map->prot & VM_PROT_WRITE) == 0)
		s->flags = KVM_MEM_READONLY;
	else if (kv->dirty && map->segid != VM_MAPPING_DEVICE)
		s->flags = KVM_MEM_LOG_DIRTY_PAGES;
	if (slot_set(kv, n, s->len) != 0) {
		s->used = false;
		error = vm_fail_sys(errno, "vm '%s': kvm cannot map 0x%jx with 0x%zx bytes", vm->name,
		    (uintmax_t)map->gpa, map->len);
	} else
		map->slot = (int)n;
out:
	pthread_mutex_unlock(&kv->lock);
	return (error);
}

/* A slot that the kernel does not give up is not used for anything else: what is put into it would not be what the guest sees. */
void
kvm_mem_unmap(struct vmctx *vm, struct vm_mapping *map)
{
	struct kvm_vm *kv = kvm_vm(vm);

	if (map->slot < 0 || (unsigned)map->slot >= kv->nslots)
		return;
	pthread_mutex_lock(&kv->lock);
	slot_last(vm, kv, (unsigned)map->slot);
	if (slot_set(kv, (unsigned)map->slot, 0) == 0)
		kv->slots[map->slot].used = false;
	else
		kv->slots[map->slot].flags = KVM_MEM_READONLY;	/* nothing to log */
	pthread_mutex_unlock(&kv->lock);
	map->slot = -1;
}

/* Switch the log of every writable slot. */
static int
log_set(struct vmctx *vm, bool on)
{
	struct kvm_vm *kv = kvm_vm(vm);
	int error = 0;

	pthread_mutex_lock(&kv->lock);
	kv->dirty = on;
	for (unsigned n = 0; n < kv->nslots && error == 0; n++) {
		struct kvm_slot *s = &kv->slots[n];

		if (!s->used || s->segid == VM_MAPPING_DEVICE || (s->flags & KVM_MEM_READONLY) != 0 || on == ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) != 0))
			continue;
		if (!on)
			slot_last(vm, kv, n);
		s->flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
		if (slot_set(kv, n, s->len) != 0) {
			error =
			    vm_fail_sys(errno, "vm '%s': kvm cannot log writes to 0x%jx", vm->name, (uintmax_t)s->gpa);
			s->flags = on ? 0 : KVM_MEM_LOG_DIRTY_PAGES;
		}
	}
	if (error != 0 && on)
		kv->dirty = false;
	pthread_mutex_unlock(&kv->lock);
	return (error);
}

int
kvm_dirty_start(struct vmctx *vm)
{
	if (log_set(vm, true) == 0)
		return (0);
	(void)log_set(vm, false);
	return (-1);
}

void
kvm_dirty_stop(struct vmctx *vm)
{
	(void)log_set(vm, false);
}

/*
 * The kernel write-protects what it reports and flushes every processor's translations before the
 * ioctl that does so returns: a store after it is in the next log.
 */
int
kvm_dirty_fetch(struct vmctx *vm, vm_paddr_t gpa, size_t len)
{
	struct kvm_vm *kv = kvm_vm(vm);
	int error = 0;

	pthread_mutex_lock(&kv->lock);
	for (unsigned n = 0; n < kv->nslots && error == 0; n++) {
		const struct kvm_slot *s = &kv->slots[n];

		vm_paddr_t lo = s->gpa > gpa ? s->gpa : gpa, hi = s->gpa + s->len < gpa + len ? s->gpa + s->len : gpa + len;

		if (s->used && lo < hi)
			error = slot_harvest(vm, kv, n, (lo - s->gpa) / VM_PAGE_SIZE, (hi - s->gpa) / VM_PAGE_SIZE);
	}
	pthread_mutex_unlock(&kv->lock);
	return (error);
}
