/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_state.c - the declared state of the GICv3: sections "gicv3" and "gicv3.cpu".
 */
#include "gicv3.h"

static const struct vm_state_field bank_fields[] = {
	VM_STATE_U32(struct gic_bank, group),
	VM_STATE_U32(struct gic_bank, enable),
	VM_STATE_U32(struct gic_bank, latch),
	VM_STATE_U32(struct gic_bank, level),
	VM_STATE_U32(struct gic_bank, msg),
	VM_STATE_U32(struct gic_bank, active),
	VM_STATE_U32(struct gic_bank, edge),
	VM_STATE_U8S(struct gic_bank, prio),
};

static int
check_bank(void *obj)
{
	const struct gic_bank *b = obj;

	for (unsigned i = 0; i < 32; i++) {
		if ((b->prio[i] & ~PRIO_MASK) != 0)
			return (vm_state_complain("priority 0x%x has bits that are not implemented", b->prio[i]));
	}
	return (0);
}

static const struct vm_state_table bank_table = VM_STATE_TABLE("gicv3.bank", 1, 1, bank_fields, check_bank);

static const struct vm_state_field gic_fields[] = {
	VM_STATE_U32(struct gic, ctlr),
	VM_STATE_STRUCTS(struct gic, bank, &bank_table),
	VM_STATE_U64S(struct gic, router),
	VM_STATE_FIELD_(struct gic, its.ctlr, VM_FIELD_U32, 2),
	VM_STATE_FIELD_(struct gic, its.cbaser, VM_FIELD_U64, 2),
	VM_STATE_FIELD_(struct gic, its.cwriter, VM_FIELD_U64, 2),
	VM_STATE_FIELD_(struct gic, its.creadr, VM_FIELD_U64, 2),
	VM_STATE_ARRAY_(struct gic, its.baser, VM_FIELD_U64, 2),
};

static int
check_gic(void *obj)
{
	const struct gic *g = obj;

	if ((g->ctlr & ~(CTLR_GRP0 | CTLR_GRP1)) != 0)
		return (vm_state_complain("GICD_CTLR 0x%x has bits that are not stored", g->ctlr));
	for (unsigned i = 0; i < ARM64_NSPI; i++) {
		if ((g->router[i] & ~0xff00ffffffULL) != 0)
			return (vm_state_complain("GICD_IROUTER%u 0x%llx has reserved bits", i + 32,
			    (unsigned long long)g->router[i]));
	}
	if (g->its.cwriter % 32 != 0 || g->its.cwriter > 0xfffe0 || (g->its.creadr & ~0xfffe1ULL) != 0)
		return (vm_state_complain("GITS_CWRITER 0x%llx or GITS_CREADR 0x%llx is no place in a queue",
		    (unsigned long long)g->its.cwriter, (unsigned long long)g->its.creadr));
	return (0);
}

const struct vm_state_table gic_state_table = VM_STATE_TABLE("gicv3", 2, 1, gic_fields, check_gic);

static const struct vm_state_field cpu_fields[] = {
	VM_STATE_STRUCT(struct gic_cpu, bank, &bank_table),
	VM_STATE_U32(struct gic_cpu, waker),
	VM_STATE_U32(struct gic_cpu, ctlr),
	VM_STATE_U32S(struct gic_cpu, apr),
	VM_STATE_U8(struct gic_cpu, pmr),
	VM_STATE_U8S(struct gic_cpu, bpr),
	VM_STATE_U8S(struct gic_cpu, igrpen),
	VM_STATE_FIELD_(struct gic_cpu, lpi_ctlr, VM_FIELD_U32, 2),
	VM_STATE_FIELD_(struct gic_cpu, propbaser, VM_FIELD_U64, 2),
	VM_STATE_FIELD_(struct gic_cpu, pendbaser, VM_FIELD_U64, 2),
};

static int
check_cpu(void *obj)
{
	const struct gic_cpu *c = obj;

	if ((c->waker & ~WAKER_SLEEP) != 0 || (c->ctlr & ~(ICC_CTLR_CBPR | ICC_CTLR_EOIMODE)) != 0)
		return (vm_state_complain("GICR_WAKER 0x%x or ICC_CTLR_EL1 0x%x has bits that are not stored", c->waker,
		    c->ctlr));
	if ((c->bank.edge & 0xffff) != 0xffff)
		return (vm_state_complain("a software-generated interrupt is not edge-triggered"));
	if ((c->pmr & ~PRIO_MASK) != 0)
		return (vm_state_complain("ICC_PMR_EL1 0x%x has bits that are not implemented", c->pmr));
	if (c->bpr[0] < BPR0_MIN || c->bpr[0] > 7 || c->bpr[1] < BPR1_MIN || c->bpr[1] > 7)
		return (vm_state_complain("ICC_BPR0_EL1 %u or ICC_BPR1_EL1 %u is out of range", c->bpr[0], c->bpr[1]));
	if (c->igrpen[0] > 1 || c->igrpen[1] > 1)
		return (vm_state_complain("ICC_IGRPENn_EL1 is not a bit"));
	if (c->lpi_ctlr > 1)
		return (vm_state_complain("GICR_CTLR 0x%x has bits that are not stored", c->lpi_ctlr));
	if ((c->propbaser & ~PROPBASER_MASK) != 0 || (c->pendbaser & ~(PENDBASER_MASK | PENDBASER_PTZ)) != 0)
		return (vm_state_complain("GICR_PROPBASER 0x%llx or GICR_PENDBASER 0x%llx has bits that are not stored",
		    (unsigned long long)c->propbaser, (unsigned long long)c->pendbaser));
	return (0);
}

const struct vm_state_table gic_cpu_state_table = VM_STATE_TABLE("gicv3.cpu", 2, 1, cpu_fields, check_cpu);
