/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64_state.c - the state page of an amd64 vCPU to and from the kernel, and the guest's
 * time-stamp counter.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <string.h>
#include <x86intrin.h>

#include "kvm_amd64.h"

/* SECTION: time-stamp counter */

static struct kvm_device_attr
tsc_attr(uint64_t *offset)
{
	return ((struct kvm_device_attr){ .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
	    .addr = (uintptr_t)offset });
}

/* Ticks of the guest's counter in so many of the host's. */
static uint64_t
guest_ticks(const struct kvm_md_vm *md, uint64_t host)
{
	return (md->guest_khz == md->host_khz ? host : muldiv64(host, md->guest_khz, md->host_khz));
}

/*
 * The page's value holds for the moment when the page was filled, or when the clock was last
 * started if that is later: pages are loaded one after the other, and their counters must not drift
 * apart.  0 is what reset leaves: such a counter joins the others in counting from the clock's
 * start.
 */
void
kvm_tsc_load(struct vcpu *vcpu, uint64_t tsc)
{
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	struct kvm_md_cpu *mc = kvm_cpu(vcpu)->md;
	struct kvm_device_attr attr;
	uint64_t ref, offset, now = __rdtsc();

	if (md->fixed || (mc->loaded && tsc != 0 && tsc == mc->tsc))
		return;
	if (tsc == 0)
		ref = md->origin;
	else if (!md->running)
		ref = md->stop;
	else
		ref = mc->loaded && (int64_t)(mc->tsc_ref - md->start) > 0 ? mc->tsc_ref : md->start;
	mc->tsc = tsc;
	mc->tsc_ref = ref;
	offset = tsc - ref;
	attr = tsc_attr(&offset);
	if (md->exact && kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
		return;
	(void)kvm_msr_set(vcpu, MSR_TSC, tsc == 0 ? 0 : tsc + guest_ticks(md, now - ref));
}

uint64_t
kvm_tsc_save(struct vcpu *vcpu)
{
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	struct kvm_md_cpu *mc = kvm_cpu(vcpu)->md;
	struct kvm_device_attr attr;
	uint64_t offset = 0, tsc = 0, now = __rdtsc();
	uint64_t at = md->running ? now : md->stop;

	attr = tsc_attr(&offset);
	if (md->fixed)
		(void)kvm_msr_get(vcpu, MSR_TSC, &tsc);
	else if (md->exact && kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_DEVICE_ATTR, &attr) == 0)
		tsc = at + offset;
	else if (kvm_msr_get(vcpu, MSR_TSC, &tsc) == 0)
		tsc -= guest_ticks(md, now - at);
	/* 0 means "reset" in a page. */
	mc->tsc = tsc == 0 ? 1 : tsc;
	mc->tsc_ref = at;
	return (mc->tsc);
}

/* A counter that the caller has set since is left as it is: it is loaded. */
void
kvm_md_refresh(struct vcpu *vcpu, void *copy)
{
	struct amd64_state *st = vcpu->state, *other = copy;
	const struct kvm_md_cpu *mc = kvm_cpu(vcpu)->md;

	if (!mc->loaded || st->tsc != mc->tsc)
		return;
	st->tsc = kvm_tsc_save(vcpu);
	if (other != NULL)
		other->tsc = st->tsc;
}

/* SECTION: registers */

static void
seg_save(struct amd64_segment *to, const struct kvm_segment *s)
{
	to->base = s->base;
	to->limit = s->limit;
	to->sel = s->selector;
	to->access = (s->type & 0xfU) | (s->s & 1U) << 4 | (s->dpl & 3U) << 5 | (s->present & 1U) << 7 |
	    (s->avl & 1U) << 12 | (s->l & 1U) << 13 | (s->db & 1U) << 14 | (s->g & 1U) << 15 |
	    (s->unusable ? VM_AMD64_SEG_UNUSABLE : 0);
}

static void
seg_load(struct kvm_segment *s, const struct amd64_segment *from)
{
	uint32_t a = from->access;

	memset(s, 0, sizeof(*s));
	s->base = from->base;
	s->limit = from->limit;
	s->selector = from->sel;
	s->type = a & 0xf;
	s->s = a >> 4 & 1;
	s->dpl = a >> 5 & 3;
	s->present = a >> 7 & 1;
	s->avl = a >> 12 & 1;
	s->l = a >> 13 & 1;
	s->db = a >> 14 & 1;
	s->g = a >> 15 & 1;
	s->unusable = (a & VM_AMD64_SEG_UNUSABLE) != 0;
}

static void
regs_save(struct amd64_state *st, const struct kvm_regs *r)
{
	const uint64_t gpr[16] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi, r->r8, r->r9, r->r10,
		r->r11, r->r12, r->r13, r->r14, r->r15 };

	memcpy(st->gpr, gpr, sizeof(gpr));
	st->rip = r->rip;
	st->rflags = r->rflags;
}

static void
regs_load(struct kvm_regs *r, const struct amd64_state *st)
{
	const uint64_t *g = st->gpr;

	*r = (struct kvm_regs){ .rax = g[RAX],
		.rbx = g[RBX],
		.rcx = g[RCX],
		.rdx = g[RDX],
		.rsi = g[RSI],
		.rdi = g[RDI],
		.rsp = g[RSP],
		.rbp = g[RBP],
		.r8 = g[R8],
		.r9 = g[R9],
		.r10 = g[R10],
		.r11 = g[R11],
		.r12 = g[R12],
		.r13 = g[R13],
		.r14 = g[R14],
		.r15 = g[R15],
		.rip = st->rip,
		.rflags = st->rflags };
}

/* struct kvm_sregs and kvm_sregs2 begin alike, up to apic_base. */
_Static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base), "kvm_sregs2");

static void
sregs_save(struct amd64_state *st, const struct kvm_sregs2 *s, bool pdptrs)
{
	seg_save(&st->seg[SEG_ES], &s->es);
	seg_save(&st->seg[SEG_CS], &s->cs);
	seg_save(&st->seg[SEG_SS], &s->ss);
	seg_save(&st->seg[SEG_DS], &s->ds);
	seg_save(&st->seg[SEG_FS], &s->fs);
	seg_save(&st->seg[SEG_GS], &s->gs);
	seg_save(&st->seg[SEG_LDTR], &s->ldt);
	seg_save(&st->seg[SEG_TR], &s->tr);
	st->seg[SEG_IDTR] = (struct amd64_segment){ .base = s->idt.base, .limit = s->idt.limit };
	st->seg[SEG_GDTR] = (struct amd64_segment){ .base = s->gdt.base, .limit = s->gdt.limit };
	st->cr0 = s->cr0;
	st->cr2 = s->cr2;
	st->cr3 = s->cr3;
	st->cr4 = s->cr4;
	st->cr8 = s->cr8;
	st->efer = s->efer;
	st->apic_base = s->apic_base;
	memset(st->pdpte, 0, sizeof(st->pdpte));
	if (pdptrs)
		memcpy(st->pdpte, s->pdptrs, sizeof(st->pdpte));
}

static void
sregs_load(struct kvm_sregs2 *s, const struct amd64_state *st)
{
	memset(s, 0, sizeof(*s));
	seg_load(&s->es, &st->seg[SEG_ES]);
	seg_load(&s->cs, &st->seg[SEG_CS]);
	seg_load(&s->ss, &st->seg[SEG_SS]);
	seg_load(&s->ds, &st->seg[SEG_DS]);
	seg_load(&s->fs, &st->seg[SEG_FS]);
	seg_load(&s->gs, &st->seg[SEG_GS]);
	seg_load(&s->ldt, &st->seg[SEG_LDTR]);
	seg_load(&s->tr, &st->seg[SEG_TR]);
	s->idt.base = st->seg[SEG_IDTR].base;
	s->idt.limit = (uint16_t)st->seg[SEG_IDTR].limit;
	s->gdt.base = st->seg[SEG_GDTR].base;
	s->gdt.limit = (uint16_t)st->seg[SEG_GDTR].limit;
	s->cr0 = st->cr0;
	s->cr2 = st->cr2;
	s->cr3 = st->cr3;
	s->cr4 = st->cr4;
	s->cr8 = st->cr8;
	s->efer = st->efer;
	s->apic_base = st->apic_base;
}

static int
sregs_get(struct vcpu *vcpu, struct kvm_sregs2 *s, bool *pdptrs)
{
	struct kvm_sregs old;

	*pdptrs = false;
	memset(s, 0, sizeof(*s));
	if (kvm_vm(vcpu->vm)->md->has_sregs2) {
		if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_SREGS2, s) != 0)
			return (-1);
		*pdptrs = (s->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0;
		return (0);
	}
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_SREGS, &old) != 0)
		return (-1);
	memcpy(s, &old, offsetof(struct kvm_sregs, apic_base) + sizeof(old.apic_base));
	return (0);
}

static int
sregs_set(struct vcpu *vcpu, const struct amd64_state *st)
{
	struct kvm_sregs2 s;
	struct kvm_sregs old;
	bool pae = (st->cr0 & CR0_PG) != 0 && (st->cr4 & CR4_PAE) != 0 && (st->efer & EFER_LMA) == 0;

	sregs_load(&s, st);
	if (kvm_vm(vcpu->vm)->md->has_sregs2) {
		/*
		 * The loaded pointers count, not what memory has in their place now (SDM vol. 3
		 * 4.4.1).
		 */
		if (pae) {
			memcpy(s.pdptrs, st->pdpte, sizeof(s.pdptrs));
			s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		}
		return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_SREGS2, &s));
	}
	memset(&old, 0, sizeof(old));
	memcpy(&old, &s, offsetof(struct kvm_sregs, apic_base) + sizeof(old.apic_base));
	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_SREGS, &old));
}

/* SECTION: x87, SSE, AVX and AVX-512, by the image of XSAVE, whose first 512 bytes are FXSAVE's (SDM vol. 1 13.4) */

#define	XSTATE_BV	512U		/* components that are in the image; others are as at reset */

/* Where the kernel has a component that the guest is shown; NULL: nowhere. */
static uint8_t *
xpart(struct vcpu *vcpu, const struct amd64_xpart *p)
{
	const struct amd64_vm *av = vcpu->vm->md_vm;
	uint32_t at = (av->here[WD_EAX] >> p->nr & 1) != 0 ? amd64_xsave_at(av, p->nr) : 0;

	return (at != 0 && at + p->size <= kvm_vm(vcpu->vm)->md->xsave_len ? kvm_cpu(vcpu)->md->xsave + at : NULL);
}

static int
fpu_save(struct vcpu *vcpu, struct amd64_state *st)
{
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	uint8_t *x = kvm_cpu(vcpu)->md->xsave, *from, *to;
	uint64_t bv;

	memset(x, 0, md->xsave_len);
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, md->has_xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, x) != 0)
		return (-1);
	memcpy(st->fxsave, x, sizeof(st->fxsave));
	memcpy(&bv, x + XSTATE_BV, sizeof(bv));
	for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
		const struct amd64_xpart *p = &amd64_xparts[i];

		to = (uint8_t *)st + p->offset;
		from = (bv >> p->nr & 1) != 0 ? xpart(vcpu, p) : NULL;
		if (from != NULL)
			memcpy(to, from, p->size);
		else
			memset(to, 0, p->size);
	}
	return (0);
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	return (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int
fpu_load(struct vcpu *vcpu, const struct amd64_state *st)
{
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	uint8_t *x = kvm_cpu(vcpu)->md->xsave, *to;
	uint64_t bv = XCR0_X87_SSE;

	memset(x, 0, md->xsave_len);
	memcpy(x, st->fxsave, sizeof(st->fxsave));
	for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
		const struct amd64_xpart *p = &amd64_xparts[i];
		const uint8_t *from = (const uint8_t *)st + p->offset;

		if (all_zero(from, p->size))
			continue;
		to = xpart(vcpu, p);
		if (to == NULL)
			return (vm_fail(ENOTSUP, "vcpu %d: kvm: something is in %s, which the guest's processor does not have here", vcpu->id, p->name));
		memcpy(to, from, p->size);
		bv |= 1ULL << p->nr;
	}
	memcpy(x + XSTATE_BV, &bv, sizeof(bv));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_XSAVE, x) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its floating-point state", vcpu->id));
	return (0);
}

static int
xcr_save(struct vcpu *vcpu, struct amd64_state *st)
{
	struct kvm_xcrs x;

	st->xcr0 = 1;
	memset(&x, 0, sizeof(x));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_XCRS, &x) != 0)
		return (0);			/* a host without XSAVE: the reset value */
	for (uint32_t i = 0; i < x.nr_xcrs && i < nitems(x.xcrs); i++) {
		if (x.xcrs[i].xcr == 0)
			st->xcr0 = x.xcrs[i].value;
	}
	return (0);
}

static int
xcr_load(struct vcpu *vcpu, const struct amd64_state *st)
{
	struct kvm_xcrs x;

	memset(&x, 0, sizeof(x));
	x.nr_xcrs = 1;
	x.xcrs[0].value = st->xcr0;
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_XCRS, &x) == 0 || st->xcr0 == 1)
		return (0);
	return (vm_fail(ENOTSUP, "vcpu %d: kvm guests have no XCR0 of 0x%llx", vcpu->id, (unsigned long long)st->xcr0));
}

static int
debug_save(struct vcpu *vcpu, struct amd64_state *st)
{
	struct kvm_debugregs d;

	memset(&d, 0, sizeof(d));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_DEBUGREGS, &d) != 0)
		return (-1);
	memcpy(st->dr, d.db, sizeof(st->dr));
	st->dr6 = d.dr6;
	st->dr7 = d.dr7;
	return (0);
}

static int
debug_load(struct vcpu *vcpu, const struct amd64_state *st)
{
	struct kvm_debugregs d;

	memset(&d, 0, sizeof(d));
	memcpy(d.db, st->dr, sizeof(d.db));
	d.dr6 = st->dr6;
	d.dr7 = st->dr7;
	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_DEBUGREGS, &d));
}

/* SECTION: events */

static int
events_save(struct vcpu *vcpu, struct amd64_state *st)
{
	struct kvm_vcpu_events e;

	memset(&e, 0, sizeof(e));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_VCPU_EVENTS, &e) != 0)
		return (-1);
	st->exc_pending = e.exception.injected != 0 || e.exception.pending != 0;
	st->exc_vector = st->exc_pending ? e.exception.nr : 0;
	st->exc_has_error = st->exc_pending && e.exception.has_error_code != 0;
	st->exc_error = st->exc_has_error ? e.exception.error_code : 0;
	/*
	 * A software interrupt that was begun is executed again: its instruction has not retired.
	 */
	st->intr_pending = e.interrupt.injected != 0 && e.interrupt.soft == 0;
	st->intr_vector = st->intr_pending ? e.interrupt.nr : 0;
	if ((e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS) != 0)
		st->intr_shadow = 2;
	else
		st->intr_shadow = (e.interrupt.shadow & KVM_X86_SHADOW_INT_STI) != 0 ? 1 : 0;
	st->nmi_pending = e.nmi.pending != 0 || e.nmi.injected != 0;
	st->nmi_blocked = e.nmi.masked != 0 && e.nmi.injected == 0;
	/* What is being delivered has ended the halt. */
	if (st->run_state == VM_AMD64_HALTED && (st->intr_pending || st->exc_pending))
		st->run_state = VM_AMD64_RUNNING;
	return (0);
}

static int
events_load(struct vcpu *vcpu, const struct amd64_state *st)
{
	struct kvm_vcpu_events e;

	memset(&e, 0, sizeof(e));
	if (st->exc_pending) {
		e.exception.injected = 1;
		e.exception.nr = st->exc_vector;
		e.exception.has_error_code = st->exc_has_error;
		e.exception.error_code = st->exc_error;
	}
	e.interrupt.injected = st->intr_pending;
	e.interrupt.nr = st->intr_vector;
	if (st->intr_shadow != 0)
		e.interrupt.shadow = st->intr_shadow == 2 ? KVM_X86_SHADOW_INT_MOV_SS : KVM_X86_SHADOW_INT_STI;
	e.nmi.pending = st->nmi_pending;
	e.nmi.masked = st->nmi_blocked;
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_VCPU_EVENTS, &e));
}

static int
mp_save(struct vcpu *vcpu, struct amd64_state *st)
{
	struct kvm_mp_state m = { 0 };

	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_MP_STATE, &m) != 0)
		return (-1);
	switch (m.mp_state) {
	case KVM_MP_STATE_HALTED:
		st->run_state = VM_AMD64_HALTED;
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		st->run_state = VM_AMD64_WAIT_SIPI;
		break;
	default:
		st->run_state = VM_AMD64_RUNNING;
		break;
	}
	if (kvm_cpu(vcpu)->shutdown)
		st->run_state = VM_AMD64_SHUTDOWN;
	return (0);
}

static int
mp_load(struct vcpu *vcpu, const struct amd64_state *st)
{
	struct kvm_mp_state m = { .mp_state = KVM_MP_STATE_RUNNABLE };

	if (st->run_state == VM_AMD64_HALTED && !st->intr_pending && !st->exc_pending)
		m.mp_state = KVM_MP_STATE_HALTED;
	else if (st->run_state == VM_AMD64_WAIT_SIPI)
		m.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	kvm_cpu(vcpu)->shutdown = st->run_state == VM_AMD64_SHUTDOWN;
	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_MP_STATE, &m));
}

/* SECTION: the page */

uint64_t
kvm_md_pc(struct vcpu *vcpu)
{
	struct kvm_regs r;

	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_REGS, &r) == 0 ? r.rip : 0);
}

uint64_t
kvm_md_page_pc(struct vcpu *vcpu)
{
	return (((const struct amd64_state *)vcpu->state)->rip);
}

_Static_assert(sizeof(struct kvm_regs) <= KVM_MD_REGS, "kvm_regs");

int
kvm_md_regs_get(struct vcpu *vcpu, void *buf, size_t len)
{
	if (len < sizeof(struct kvm_regs) || kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_REGS, buf) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not give its registers", vcpu->id));
	return (0);
}

int
kvm_md_regs_set(struct vcpu *vcpu, const void *buf, size_t len)
{
	struct kvm_regs r;

	memcpy(&r, buf, sizeof(r));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_REGS, &r) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	return (0);
}

int
kvm_md_state_save(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;
	struct kvm_sregs2 s;
	struct kvm_regs r;
	bool pdptrs;

	/*
	 * The run state first: to tell it, the kernel deals with start-up messages that wait, which
	 * change registers.
	 */
	if (mp_save(vcpu, st) != 0 || kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_REGS, &r) != 0 ||
	    sregs_get(vcpu, &s, &pdptrs) != 0 || fpu_save(vcpu, st) != 0 || xcr_save(vcpu, st) != 0 ||
	    debug_save(vcpu, st) != 0 || events_save(vcpu, st) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not give its state", vcpu->id));
	regs_save(st, &r);
	sregs_save(st, &s, pdptrs);
	if (kvm_msrs_save(vcpu, st) != 0)
		return (-1);
	st->tsc = kvm_tsc_save(vcpu);
	if (kvm_cpu(vcpu)->md->stands)
		st->tsc_deadline = kvm_cpu(vcpu)->md->deadline;
	return (0);
}

int
kvm_md_state_load(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	struct kvm_regs r;

	/*
	 * Reset leaves 0 in the counter, and nothing else does: the processor's own interrupt
	 * controller is reset with it.
	 */
	if (kc->md->loaded && st->tsc == 0) {
		if (kvm_ioctl(kc->fd, KVM_SET_LAPIC, &kc->md->lapic) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not reset its local APIC", vcpu->id));
		kc->md->stands = false;
	}
	regs_load(&r, st);
	if (sregs_set(vcpu, st) != 0)
		return (vm_fail(ENOTSUP,
		    "vcpu %d: kvm does not take its system registers (cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx): %s",
		    vcpu->id, (unsigned long long)st->cr0, (unsigned long long)st->cr3, (unsigned long long)st->cr4,
		    (unsigned long long)st->efer, strerror(errno)));
	if (kvm_ioctl(kc->fd, KVM_SET_REGS, &r) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	if (fpu_load(vcpu, st) != 0 || xcr_load(vcpu, st) != 0)
		return (-1);
	if (debug_load(vcpu, st) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its debug registers", vcpu->id));
	/* The counter before the deadline that is compared with it. */
	kvm_tsc_load(vcpu, st->tsc);
	if (kvm_msrs_load(vcpu, st) != 0)
		return (-1);
	if (mp_load(vcpu, st) != 0 || events_load(vcpu, st) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its run state and events", vcpu->id));
	kc->md->loaded = true;
	return (0);
}
