/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * psci.c - the Power State Coordination Interface, version 1.1 (Arm DEN 0022), over the SMC Calling Convention (DEN 0028) by HVC:
 * processors on and off, the machine off and reset; and which mitigations the processor needs: none.
 * The other services of the calling convention are refused here, which is how Linux finds that they are not there; random numbers
 * are in trng.c.
 */
#include "arm64.h"

#define	FN_SMCCC_VERSION	0x80000000U
#define	FN_ARCH_FEATURES	0x80000001U
#define	FN_WORKAROUND_1		0x80008000U	/* CVE-2017-5715 */
#define	FN_WORKAROUND_2		0x80007fffU	/* CVE-2018-3639 */
#define	FN_WORKAROUND_3		0x80003fffU	/* CVE-2022-23960 */
#define	FN_VERSION		0x84000000U
#define	FN_CPU_SUSPEND		0x84000001U
#define	FN_CPU_OFF		0x84000002U
#define	FN_CPU_ON		0x84000003U
#define	FN_AFFINITY_INFO	0x84000004U
#define	FN_MIGRATE_INFO_TYPE	0x84000006U
#define	FN_SYSTEM_OFF		0x84000008U
#define	FN_SYSTEM_RESET		0x84000009U
#define	FN_FEATURES		0x8400000aU
#define	FN_SYSTEM_RESET2	0x84000012U
#define	FN_64			0x40000000U	/* the function with 64-bit arguments */

/* The parts of a function's number (DEN 0028 2.5 and 6.1) */
#define	FN_FAST			0x80000000U
#define	FN_OWNER		0x3f000000U
#define	FN_OWNER_HYPERVISOR	0x06000000U	/* vendor specific hypervisor service */
#define	FN_NUMBER		0xffffU
#define	FN_GENERAL		0xff00U		/* from here: who owns the service, which revision of it */

#define	SMCCC_1_1		0x00010001
#define	PSCI_1_1		0x00010001

/* Answers of SMCCC_ARCH_FEATURES about a workaround (DEN 0028 7.5, 7.7, 7.9) */
#define	SMCCC_NOT_AFFECTED	1	/* the call is there and does nothing */
#define	SMCCC_NOT_REQUIRED	(-2)	/* this processor does not have the weakness */

#define	POWER_STATE_RES0	0xfcfe0000ULL	/* of the original format (DEN 0022 5.4.2) */
#define	RESET2_VENDOR		0x80000000ULL

/* Return codes, table 5-2 of DEN 0022 */
#define	PSCI_SUCCESS		0
#define	PSCI_NOT_SUPPORTED	(-1)
#define	PSCI_INVALID_PARAMETERS	(-2)
#define	PSCI_DENIED		(-3)
#define	PSCI_ALREADY_ON		(-4)
#define	PSCI_ON_PENDING		(-5)
#define	PSCI_INVALID_ADDRESS	(-9)

/* Affinity states and migration types */
#define	PSCI_ON			0
#define	PSCI_OFF		1
#define	PSCI_PENDING		2
#define	PSCI_MIGRATE_NONE	2

/* Turn another processor on.  The hand-over is in arm64.h. */
static int64_t
cpu_on(struct vmctx *vm, uint64_t target, uint64_t entry, uint64_t context)
{
	struct vcpu *t = arm64_by_affinity(vm, target);
	struct arm64_state *s;
	uint32_t none = ARM64_ON_NONE;

	if (t == NULL)
		return (PSCI_INVALID_PARAMETERS);
	if ((entry & 3) != 0 || entry >> ARM64_PA_BITS != 0)
		return (PSCI_INVALID_ADDRESS);
	s = t->state;
	if (!__atomic_compare_exchange_n(&s->on_state, &none, (uint32_t)ARM64_ON_CLAIMED, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return (PSCI_ON_PENDING);
	if (arm64_load32(&s->run_state) != VM_ARM64_OFF) {
		arm64_store32(&s->on_state, ARM64_ON_NONE);
		return (PSCI_ALREADY_ON);
	}
	s->on_entry = entry;
	s->on_context = context;
	arm64_store32(&s->on_state, ARM64_ON_READY);
	vcpu_post(t, ARM64_EV_CPU_ON);
	return (PSCI_SUCCESS);
}

static int64_t
affinity_info(struct vmctx *vm, uint64_t target, uint64_t level)
{
	struct vcpu *t = arm64_by_affinity(vm, target);
	const struct arm64_state *s;

	if (t == NULL || level != 0)
		return (PSCI_INVALID_PARAMETERS);
	s = t->state;
	if (arm64_load32(&s->on_state) != ARM64_ON_NONE)
		return (PSCI_PENDING);
	return (arm64_load32(&s->run_state) == VM_ARM64_OFF ? PSCI_OFF : PSCI_ON);
}

static int64_t
features(uint64_t fn)
{
	switch ((uint32_t)fn) {
	case FN_SMCCC_VERSION:
	case FN_VERSION:
	case FN_CPU_SUSPEND:
	case FN_CPU_SUSPEND | FN_64:
	case FN_CPU_OFF:
	case FN_CPU_ON:
	case FN_CPU_ON | FN_64:
	case FN_AFFINITY_INFO:
	case FN_AFFINITY_INFO | FN_64:
	case FN_MIGRATE_INFO_TYPE:
	case FN_SYSTEM_OFF:
	case FN_SYSTEM_RESET:
	case FN_SYSTEM_RESET2:
	case FN_SYSTEM_RESET2 | FN_64:
	case FN_FEATURES:
		return (0);
	default:
		return (PSCI_NOT_SUPPORTED);
	}
}

/* SMCCC_ARCH_FEATURES (DEN 0028 7.3): what of the architecture's own calls there is. */
static int64_t
arch_features(uint64_t fn)
{
	switch ((uint32_t)fn) {
	case FN_SMCCC_VERSION:
	case FN_ARCH_FEATURES:
		return (0);
	case FN_WORKAROUND_1:
	case FN_WORKAROUND_3:
		return (SMCCC_NOT_AFFECTED);
	case FN_WORKAROUND_2:
		return (SMCCC_NOT_REQUIRED);
	default:		/* SMCCC_ARCH_SOC_ID too: there is no chip to name */
		return (PSCI_NOT_SUPPORTED);
	}
}

/* The last processor cannot turn itself off (DEN 0022 5.5.2 lets it be denied); it would leave nobody to turn one on. */
static bool
is_last(struct vcpu *vcpu)
{
	struct vmctx *vm = vcpu->vm;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		const struct arm64_state *s;

		if (vm->vcpus[i] == NULL || vm->vcpus[i] == vcpu)
			continue;
		s = vm->vcpus[i]->state;
		if (arm64_load32(&s->run_state) != VM_ARM64_OFF || arm64_load32(&s->on_state) != ARM64_ON_NONE)
			return (false);
	}
	return (true);
}

/*
 * May a function be the caller's?  Those of a hypervisor's own service are, and what is no fast call; but not the questions who
 * offers that service: without a caller that does, nobody.
 */
static bool
is_hypercall(uint32_t fn)
{
	if ((fn & FN_FAST) == 0)
		return (true);
	return ((fn & FN_OWNER) == FN_OWNER_HYPERVISOR && (fn & FN_NUMBER) < FN_GENERAL);
}

enum arm64_psci
arm64_psci(struct vcpu *vcpu)
{
	struct arm64_state *s = vcpu->state;
	struct vmctx *vm = vcpu->vm;
	uint32_t fn = (uint32_t)s->x[0];
	/* A function with 32-bit arguments ignores the upper halves (DEN 0028 3.1). */
	uint64_t mask = (fn & FN_64) != 0 ? UINT64_MAX : UINT32_MAX;
	uint64_t a1 = s->x[1] & mask, a2 = s->x[2] & mask, a3 = s->x[3] & mask;
	int64_t r;

	switch (fn) {
	case FN_SMCCC_VERSION:
		r = SMCCC_1_1;
		break;
	case FN_ARCH_FEATURES:
		r = arch_features(a1);
		break;
	case FN_WORKAROUND_1:
	case FN_WORKAROUND_3:
		r = PSCI_SUCCESS;
		break;
	case FN_VERSION:
		r = PSCI_1_1;
		break;
	case FN_CPU_SUSPEND:
	case FN_CPU_SUSPEND | FN_64:
		if ((a1 & POWER_STATE_RES0) != 0) {
			r = PSCI_INVALID_PARAMETERS;
			break;
		}
		/* Every state is entered as standby, which is allowed (DEN 0022 5.4.2): wait for an interrupt and return. */
		return (ARM64_PSCI_WAIT);
	case FN_CPU_OFF:
		if (is_last(vcpu)) {
			r = PSCI_DENIED;
			break;
		}
		return (ARM64_PSCI_OFF);
	case FN_CPU_ON:
	case FN_CPU_ON | FN_64:
		r = cpu_on(vm, a1, a2, a3);
		break;
	case FN_AFFINITY_INFO:
	case FN_AFFINITY_INFO | FN_64:
		r = affinity_info(vm, a1, a2);
		break;
	case FN_MIGRATE_INFO_TYPE:
		r = PSCI_MIGRATE_NONE;
		break;
	case FN_SYSTEM_OFF:
		return (ARM64_PSCI_POWEROFF);
	case FN_SYSTEM_RESET:
		return (ARM64_PSCI_RESET);
	case FN_SYSTEM_RESET2:
	case FN_SYSTEM_RESET2 | FN_64:
		/* Type 0 is the architecture's warm reset; there are no others (DEN 0022 5.12). */
		if ((a1 & UINT32_MAX) == 0)
			return (ARM64_PSCI_RESET);
		r = (a1 & RESET2_VENDOR) != 0 ? PSCI_NOT_SUPPORTED : PSCI_INVALID_PARAMETERS;
		break;
	case FN_FEATURES:
		r = features(s->x[1]);
		break;
	default:
		if (is_hypercall(fn))
			return (ARM64_PSCI_NOT);
		r = arm64_is_trng(fn) ? arm64_trng(vcpu, fn) : PSCI_NOT_SUPPORTED;
		break;
	}
	/* A result of 32 bits is zero-extended into a W register's view; of a 64-bit call it is sign-extended. */
	s->x[0] = (fn & FN_64) != 0 ? (uint64_t)r : (uint64_t)(uint32_t)r;
	return (ARM64_PSCI_DONE);
}
