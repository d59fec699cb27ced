/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vcpu.c - vCPUs at rest: handles, the state page, registers, counters.  run.c has the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define	VCPU_FIELD_MAX	1024		/* bytes that vm_vcpu_field_set() can put back */

/* The state page. */

/*
 * Counters in the page belong to the clock's time of the moment when it is looked at or set.  Another thread may be starting the VM: once
 * the vCPU has a back end's part, which its lock says, so has the VM.
 */
static void
refresh(struct vcpu *vcpu)
{
	if (vcpu->accel_cpu != NULL && vcpu->vm->accel->state_refresh != NULL)
		vcpu->vm->accel->state_refresh(vcpu);
}

int
vcpu_fetch(struct vcpu *vcpu)
{
	const struct accel_ops *accel;

	if (!vcpu->in_accel || vcpu->page_valid || vcpu->vm->accel->state_save == NULL) {
		/* The clock may have gone on since. */
		refresh(vcpu);
		return (0);
	}
	accel = vcpu->vm->accel;
	if (accel->settle != NULL && accel->settle(vcpu) != 0)
		return (-1);
	if (accel->state_save(vcpu) != 0)
		return (-1);
	vcpu->page_valid = true;
	return (0);
}

int
vcpu_hold(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->running) {
		pthread_mutex_unlock(&vcpu->lock);
		return (vm_fail(EBUSY, "vcpu %d: its state cannot be reached while it runs; pause the VM first", vcpu->id));
	}
	if (vcpu_fetch(vcpu) != 0) {
		pthread_mutex_unlock(&vcpu->lock);
		return (-1);
	}
	return (0);
}

void
vcpu_release(struct vcpu *vcpu, bool changed)
{
	if (changed) {
		vcpu->in_accel = false;
		refresh(vcpu);
	}
	pthread_mutex_unlock(&vcpu->lock);
}

/* Registers. */

static const struct md_reg *
reg_find(const struct md_ops *md, int num)
{
	unsigned lo = 0, hi = md->nregs;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (md->regs[mid].num < num)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < md->nregs && md->regs[lo].num == num)
		return (&md->regs[lo]);
	return (vm_fail_null(EINVAL, "register 0x%x: %s has none of that number", (unsigned)num, md->name));
}

const char *
vm_register_name(struct vmctx *ctx, int reg, unsigned *bits)
{
	const struct md_reg *r;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "register: the VM handle is NULL"));
	r = reg_find(ctx->md, reg);
	if (r == NULL)
		return (NULL);
	if (bits != NULL)
		*bits = r->bits;
	return (r->name);
}

const char *
vm_sysreg_name(struct vmctx *ctx, uint64_t reg)
{
	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "system register: the VM handle is NULL"));
	return (ctx->md->sysreg_name != NULL ? ctx->md->sysreg_name(reg) : NULL);
}

/* For a set of registers: the arguments make sense, and the vCPU's state page is the caller's. */
static int
hold_registers(struct vcpu *vcpu, unsigned count, const int *regs, const uint64_t *vals)
{
	if (vcpu == NULL || (count > 0 && (regs == NULL || vals == NULL)))
		return (vm_fail(EINVAL, "registers: a NULL argument"));
	return (vcpu_hold(vcpu));
}

int
vm_set_register_set(struct vcpu *vcpu, unsigned count, const int *regs, const uint64_t *vals)
{
	unsigned i;

	if (hold_registers(vcpu, count, regs, vals) != 0)
		return (-1);
	for (i = 0; i < count; i++) {
		const struct md_reg *r = reg_find(vcpu->vm->md, regs[i]);

		if (r == NULL)
			break;
		if (r->readonly) {
			(void)vm_fail(EPERM, "register %s: is read-only", r->name);
			break;
		}
		if (r->bits < 64 && vals[i] >> r->bits != 0) {
			(void)vm_fail(EINVAL, "register %s: 0x%jx has more than %u bits", r->name, (uintmax_t)vals[i], r->bits);
			break;
		}
		if (vcpu->vm->md->reg_check != NULL && vcpu->vm->md->reg_check(vcpu, r, vals[i]) != 0)
			break;
		/* Little-endian hosts only, which the build checks. */
		memcpy((uint8_t *)vcpu->state + r->offset, &vals[i], r->size);
	}
	vcpu_release(vcpu, i > 0);
	return (i == count ? 0 : -1);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers and state pages are little-endian");

int
vm_get_register_set(struct vcpu *vcpu, unsigned count, const int *regs, uint64_t *vals)
{
	unsigned i;

	if (hold_registers(vcpu, count, regs, vals) != 0)
		return (-1);
	for (i = 0; i < count; i++) {
		const struct md_reg *r = reg_find(vcpu->vm->md, regs[i]);

		if (r == NULL)
			break;
		vals[i] = 0;
		memcpy(&vals[i], (const uint8_t *)vcpu->state + r->offset, r->size);
	}
	vcpu_release(vcpu, false);
	return (i == count ? 0 : -1);
}

int
vm_set_register(struct vcpu *vcpu, int reg, uint64_t val)
{
	return (vm_set_register_set(vcpu, 1, &reg, &val));
}

int
vm_get_register(struct vcpu *vcpu, int reg, uint64_t *val)
{
	return (vm_get_register_set(vcpu, 1, &reg, val));
}

int
vm_vcpu_describe(struct vcpu *vcpu, char *buf, size_t len)
{
	const struct md_ops *md;
	size_t n = 0;

	if (vcpu == NULL || buf == NULL || len == 0)
		return (vm_fail(EINVAL, "description of a vCPU: a NULL argument, or no room"));
	md = vcpu->vm->md;
	buf[0] = '\0';
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	for (const int *reg = md->told; *reg != -1; reg++) {
		const struct md_reg *r = reg_find(md, *reg);
		uint64_t val = 0;
		int more;

		memcpy(&val, (const uint8_t *)vcpu->state + r->offset, r->size);
		more = snprintf(buf + n, len - n, "%s%s=0x%jx", n == 0 ? "" : " ", r->name, (uintmax_t)val);
		if (more < 0 || (size_t)more >= len - n) {
			buf[n] = '\0';
			break;
		}
		n += (size_t)more;
	}
	vcpu_release(vcpu, false);
	return (0);
}

/* Where [off, off + len) of a declared field is in the state page: an offset, -1 with a sentence. */
static int
field_find(const struct md_ops *md, const char *name, size_t off, size_t len)
{
	const struct vm_state_table *t = md->vcpu_state;

	for (uint32_t i = 0; i < t->nfields; i++) {
		const struct vm_state_field *f = &t->fields[i];
		size_t size = (size_t)f->count * f->stride;

		if (f->type == VM_FIELD_STRUCT || strcmp(f->name, name) != 0)
			continue;
		if (off > size || len > size - off)
			return (vm_fail(EINVAL, "field %s: has %zu bytes, not %zu at %zu", name, size, len, off));
		return ((int)(f->offset + off));
	}
	return (vm_fail(EINVAL, "field '%s': %s vCPUs have none of that name", name, md->name));
}

int
vm_vcpu_field_get(struct vcpu *vcpu, const char *field, size_t off, void *buf, size_t len)
{
	int at;

	if (vcpu == NULL || field == NULL || (buf == NULL && len != 0))
		return (vm_fail(EINVAL, "field: a NULL argument"));
	at = field_find(vcpu->vm->md, field, off, len);
	if (at < 0 || vcpu_hold(vcpu) != 0)
		return (-1);
	memcpy(buf, (const uint8_t *)vcpu->state + at, len);
	vcpu_release(vcpu, false);
	return (0);
}

int
vm_vcpu_field_set(struct vcpu *vcpu, const char *field, size_t off, const void *buf, size_t len)
{
	const struct md_ops *md;
	uint8_t old[VCPU_FIELD_MAX];
	int at, error = 0;

	if (vcpu == NULL || field == NULL || (buf == NULL && len != 0))
		return (vm_fail(EINVAL, "field: a NULL argument"));
	md = vcpu->vm->md;
	at = field_find(md, field, off, len);
	if (at < 0)
		return (-1);
	if (len > sizeof(old))
		return (vm_fail(EINVAL, "field %s: at most %zu bytes are set at once", field, sizeof(old)));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	memcpy(old, (uint8_t *)vcpu->state + at, len);
	memcpy((uint8_t *)vcpu->state + at, buf, len);
	if (md->vcpu_state->check != NULL && md->vcpu_state->check(vcpu->state) != 0) {
		memcpy((uint8_t *)vcpu->state + at, old, len);
		errno = EINVAL;
		error = -1;
	}
	vcpu_release(vcpu, error == 0);
	return (error);
}

int
vm_gva2gpa(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault)
{
	int error;

	if (vcpu == NULL || gpa == NULL || fault == NULL || prot == 0 || (prot & ~VM_PROT_ALL) != 0)
		return (vm_fail(EINVAL, "address translation: a NULL argument, or protection 0x%x", (unsigned)prot));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	error = vcpu->vm->md->translate(vcpu, gva, prot, gpa, fault);
	vcpu_release(vcpu, false);
	return (error);
}

int
vm_vcpu_reset(struct vcpu *vcpu)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "reset: the vCPU handle is NULL"));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	vcpu->vm->md->vcpu_reset(vcpu);
	atomic_store(&vcpu->md_events, 0);
	atomic_fetch_and(&vcpu->request, ~REQ_MD);
	vcpu->read_open = vcpu->replied = vcpu->exit_valid = false;
	vcpu_release(vcpu, true);
	return (0);
}

/* Handles. */

int
vcpu_create(struct vmctx *vm, int id, struct vcpu **vcpup)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	pthread_condattr_t attr;

	if (vcpu == NULL)
		return (vm_fail_sys(ENOMEM, "vm '%s': vcpu %d", vm->name, id));
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->state = rundir_vcpu_page(vm, id);
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vcpu->cond, &attr);
	pthread_condattr_destroy(&attr);
	memset(vcpu->caps, -1, sizeof(vcpu->caps));
	for (unsigned i = 0; i < vm->md->ncaps; i++)
		vcpu->caps[vm->md->caps[i].type] = (int8_t)vm->md->caps[i].initial;
	if (rundir_vcpu_used(vm, id)) {
		/* Another process filled the page: see that it makes sense before anything runs on it. */
		if (vm->md->vcpu_state->check != NULL && vm->md->vcpu_state->check(vcpu->state) != 0) {
			vcpu_free(vcpu);
			return (-1);
		}
		rundir_get_caps(vcpu);
	} else {
		memset(vcpu->state, 0, VCPU_SLOT);
		vm->md->vcpu_reset(vcpu);
		rundir_put_caps(vcpu);
		rundir_vcpu_set_used(vm, id, true);
	}
	*vcpup = vcpu;
	return (0);
}

void
vcpu_free(struct vcpu *vcpu)
{
	pthread_cond_destroy(&vcpu->cond);
	pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}

struct vcpu *
vm_vcpu_open(struct vmctx *ctx, int vcpuid)
{
	struct vcpu *vcpu = NULL;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "vCPU: the VM handle is NULL"));
	if (vcpuid < 0 || vcpuid >= VM_MAXCPU)
		return (vm_fail_null(EINVAL, "vm '%s': vCPU %d: the numbers are 0 to %d", ctx->name, vcpuid, VM_MAXCPU - 1));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->vcpus[vcpuid] != NULL) {
		vcpu = ctx->vcpus[vcpuid];
		vcpu->refs++;
	} else if (ctx->accel != NULL)
		(void)vm_fail(EBUSY, "vm '%s': vCPU %d cannot be added once the VM has started", ctx->name, vcpuid);
	else if (vcpu_create(ctx, vcpuid, &vcpu) == 0) {
		vcpu->refs = 1;
		ctx->vcpus[vcpuid] = vcpu;
		ctx->ncpus++;
	}
	pthread_mutex_unlock(&ctx->lock);
	return (vcpu);
}

void
vm_vcpu_close(struct vcpu *vcpu)
{
	if (vcpu == NULL)
		return;
	pthread_mutex_lock(&vcpu->vm->lock);
	if (vcpu->refs > 0)
		vcpu->refs--;
	pthread_mutex_unlock(&vcpu->vm->lock);
}

int
vcpu_id(struct vcpu *vcpu)
{
	return (vcpu == NULL ? vm_fail(EINVAL, "vCPU: the handle is NULL") : vcpu->id);
}

struct vmctx *
vm_vcpu_ctx(struct vcpu *vcpu)
{
	return (vcpu == NULL ? vm_fail_null(EINVAL, "vCPU: the handle is NULL") : vcpu->vm);
}

/* Counters. */

static const char *const stat_names[VM_STAT_LAST] = {
	[VM_STAT_INSNS] = "instructions retired",
	[VM_STAT_EXITS] = "exits to the caller",
	[VM_STAT_MMIO] = "accesses to MMIO ranges",
	[VM_STAT_IO] = "accesses to ports",
	[VM_STAT_DOORBELL] = "doorbells rung",
	[VM_STAT_INTR] = "interrupts taken",
	[VM_STAT_HALT] = "waits for an interrupt",
	[VM_STAT_KICK] = "kicks received",
	[VM_STAT_JIT_BLOCKS] = "blocks translated to native code",
	[VM_STAT_JIT_BYTES] = "bytes of native code made",
	[VM_STAT_JIT_FLUSHES] = "times native code was dropped because it was full",
	[VM_STAT_JIT_LINKS] = "jumps joined in native code",
	[VM_STAT_JIT_ENTRIES] = "entries of native code",
	[VM_STAT_JIT_CHECKED] = "instructions compared with the first tier",
	[VM_STAT_JIT_CALLS] = "instructions left to a function by native code",
	[VM_STAT_JIT_FINDS] = "exits of native code to find what follows",
	[VM_STAT_JIT_JOINS] = "exits of native code to join two stretches of it",
	[VM_STAT_JIT_STOPS] = "exits of native code with an instruction that stopped",
	[VM_STAT_TLB_MISSES] = "pages looked up in the guest's tables",
	[VM_STAT_TLB_FLUSHES] = "times translations were dropped, all or an address space's",
	[VM_STAT_SYSREG] = "accesses to system registers that there are not",
	[VM_STAT_KVM_RUNS] = "entries into the kernel to run the guest",
	[VM_STAT_KVM_IO] = "exits of kvm for ports",
	[VM_STAT_KVM_MMIO] = "exits of kvm for memory that is no RAM",
	[VM_STAT_KVM_SYSREG] = "exits of kvm for system registers",
	[VM_STAT_KVM_SIGNALS] = "exits of kvm for requests of the library",
	[VM_STAT_KVM_RING] = "exits of kvm for a full dirty ring",
	[VM_STAT_KVM_OTHER] = "exits of kvm for another reason",
	[VM_STAT_POLLS] = "sleeps while the guest only read the clock",
};

const uint64_t *
vm_get_stats(struct vcpu *vcpu, int *entries)
{
	static _Thread_local uint64_t copy[VM_STAT_LAST];

	if (vcpu == NULL || entries == NULL)
		return (vm_fail_null(EINVAL, "counters: a NULL argument"));
	for (int i = 0; i < VM_STAT_LAST; i++)
		copy[i] = atomic_load_explicit(&vcpu->stats[i], memory_order_relaxed);
	*entries = VM_STAT_LAST;
	return (copy);
}

const char *
vm_get_stat_desc(struct vmctx *ctx, int index)
{
	if (index < 0 || index >= VM_STAT_LAST)
		return (NULL);
	return (stat_names[index]);
}
