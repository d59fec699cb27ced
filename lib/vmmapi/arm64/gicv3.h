/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3.h - what the files of the GICv3 share: its state, and the recomputation of what it signals.
 *
 * One lock protects all of it.  What each CPU interface signals is kept ready in an atomic, so that a vCPU asks without the lock.
 */
#ifndef _VMMAPI_ARM64_GICV3_H_
#define	_VMMAPI_ARM64_GICV3_H_

#include "arm64.h"

#define	NBANKS		(ARM64_NSPI / 32)	/* of the distributor */
#define	NINTID		(32 + ARM64_NSPI)
#define	SPURIOUS	1023U			/* IHI 0069 2.2.1 */
#define	IDLE_PRIORITY	0xffU

/*
 * Five bits of priority, as every implementation with 32 preemption levels has them (IHI 0069 4.8): one active priorities
 * register per group.
 */
#define	PRIO_BITS	5U
#define	PRIO_MASK	0xf8U
#define	BPR0_MIN	(7U - PRIO_BITS)
#define	BPR1_MIN	(BPR0_MIN + 1U)

/* Registers that more than one file knows (IHI 0069 12.9, 12.11) */
#define	GICD_SETSPI_NSR	0x0040U
#define	GICD_CLRSPI_NSR	0x0048U
#define	CTLR_GRP0	0x01U
#define	CTLR_GRP1	0x02U
#define	WAKER_SLEEP	0x2U

/* ICC_CTLR_EL1, the bits that are stored (IHI 0069 12.2.6) */
#define	ICC_CTLR_CBPR	0x1U
#define	ICC_CTLR_EOIMODE 0x2U

/* 32 interrupts, a bit each. */
struct gic_bank {
	uint32_t	group;		/* 1: group 1 */
	uint32_t	enable;
	uint32_t	latch;		/* pending by an edge or by register */
	uint32_t	level;		/* input */
	uint32_t	msg;		/* set by message, for level-triggered ones */
	uint32_t	active;
	uint32_t	edge;		/* 1: edge-triggered */
	uint8_t		prio[32];
};

/* A vCPU's part: redistributor and CPU interface. */
struct gic_cpu {
	/* declared */
	struct gic_bank	 bank;		/* SGIs and PPIs */
	uint32_t	 waker;
	uint32_t	 ctlr;		/* ICC_CTLR_EL1's two bits */
	uint32_t	 apr[2];	/* ICC_AP0R0_EL1, ICC_AP1R0_EL1 */
	uint8_t		 pmr;
	uint8_t		 bpr[2];
	uint8_t		 igrpen[2];
	/* derived */
	struct vcpu	*vcpu;
	uint32_t	 hppi;		/* highest priority pending interrupt, SPURIOUS */
	uint8_t		 hppi_prio;
	uint8_t		 hppi_group;
	_Atomic uint32_t out;		/* GIC_OUT_* */
};

struct gic {
	/* declared */
	uint32_t	 ctlr;
	struct gic_bank	 bank[NBANKS];
	uint64_t	 router[ARM64_NSPI];
	/* not declared */
	pthread_mutex_t	 lock;
	struct vmctx	*vm;
	struct vm_range	*dist, *redist;
	uint64_t	 gicd;
	unsigned	 ncpus;
	struct gic_cpu	*cpus[VM_MAXCPU];	/* in order of id, without gaps */
	struct gic_cpu	*target[ARM64_NSPI];	/* by router; NULL: nobody's */
	uint64_t	 notify;		/* vCPUs to be told, by id, once the lock is dropped */
};

static inline uint32_t
bank_pending(const struct gic_bank *b)
{
	return (b->latch | ((b->level | b->msg) & ~b->edge));
}

/* gicv3.c.  All but lock and unlock with the lock held; unlock tells the vCPUs whose signals came up. */
void	gic_lock(struct gic *g);
void	gic_unlock(struct gic *g);
/* Recompute what one CPU interface signals, all, or the one that an INTID goes to (c: for private ones). */
void	gic_update_cpu(struct gic *g, struct gic_cpu *c);
void	gic_update_all(struct gic *g);
void	gic_update_intid(struct gic *g, struct gic_cpu *c, unsigned intid);
/* GICD_IROUTER of an SPI changed. */
void	gic_retarget(struct gic *g, unsigned spi);
/* The bank of an INTID as a vCPU sees it, NULL if there is none. */
struct gic_bank *gic_bank_of(struct gic *g, struct gic_cpu *c, unsigned intid);
/* Message or register: make an SPI pending, or not. */
void	gic_message(struct gic *g, uint32_t intid, bool set);
unsigned gic_group_mask(const struct gic_cpu *c, unsigned group);
unsigned gic_running_priority(const struct gic_cpu *c);

/* gicv3_mmio.c: struct vm_range_spec's handlers; arg is the struct gic */
uint64_t gic_dist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size);
void	gic_dist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val);
uint64_t gic_redist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size);
void	gic_redist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val);

/* gicv3_cpu.c: intc_ops.sysreg */
bool	gic_sysreg(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val);

/* gicv3_state.c */
extern const struct vm_state_table gic_state_table, gic_cpu_state_table;

#endif /* _VMMAPI_ARM64_GICV3_H_ */
