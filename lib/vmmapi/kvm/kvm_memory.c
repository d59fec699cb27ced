/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_memory.c - guest memory of the kvm back end: slots of the kernel, and its log of what guests write.
 *
 * A page that the kernel logged and that did not reach the VM's bitmap would be lost.  So where the log cannot be read any more (the
 * slot goes, or logging ends) all pages of the slot count as written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_irq.h"

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

/* Move what the kernel logged of a slot into the VM's bitmap.  kv->lock is held. */
static int
slot_harvest(struct vmctx *vm, struct kvm_vm *kv, unsigned n)
{
	const struct kvm_slot *s = &kv->slots[n];
	struct kvm_dirty_log log = { .slot = n };
	size_t pages = s->len / VM_PAGE_SIZE, words = (pages + 63) / 64;
	uint64_t *more;

	if ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) == 0)
		return (0);
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
	vm_dirty_or(vm, &vm->segs[s->segid], s->segoff, kv->bitmap, pages);
	return (0);
}

/* The same where the log is about to go. */
static void
slot_last(struct vmctx *vm, struct kvm_vm *kv, unsigned n)
{
	if (slot_harvest(vm, kv, n) != 0)
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
	else if (kv->dirty)
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

		if (!s->used || (s->flags & KVM_MEM_READONLY) != 0 || on == ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) != 0))
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
 * ioctl returns: a store after it is in the next log.
 */
int
kvm_dirty_fetch(struct vmctx *vm, vm_paddr_t gpa, size_t len)
{
	struct kvm_vm *kv = kvm_vm(vm);
	int error = 0;

	pthread_mutex_lock(&kv->lock);
	for (unsigned n = 0; n < kv->nslots && error == 0; n++) {
		const struct kvm_slot *s = &kv->slots[n];

		if (s->used && s->gpa < gpa + len && gpa < s->gpa + s->len)
			error = slot_harvest(vm, kv, n);
	}
	pthread_mutex_unlock(&kv->lock);
	return (error);
}
