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
#define	LPI_FIRST	8192U			/* locality-specific peripheral interrupts (IHI 0069 5.1) */
#define	LPI_END		65536U			/* 16 bits of INTID */
#define	NLPI		(LPI_END - LPI_FIRST)
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
	uint32_t	 lpi_ctlr;	/* GICR_CTLR.EnableLPIs */
	uint64_t	 propbaser, pendbaser;
	/* derived */
	struct vcpu	*vcpu;
	uint64_t	 lpi[NLPI / 64];	/* pending; the guest's pending table says the same (gicv3_lpi.c) */
	unsigned	 nlpi;			/* how many are */
	uint32_t	 hppi;		/* highest priority pending interrupt, SPURIOUS */
	uint8_t		 hppi_prio;
	uint8_t		 hppi_group;
	_Atomic uint32_t out;		/* GIC_OUT_* */
};

#define	ITS_NBASER	2U		/* tables in guest memory: devices, collections */

/* The interrupt translation service; its mappings are in guest memory (gicv3_its.c). */
struct gic_its {
	/* declared */
	uint32_t	 ctlr;
	uint64_t	 cbaser, cwriter, creadr;
	uint64_t	 baser[ITS_NBASER];
	/* derived */
	uint64_t	 base;		/* 0: there is none */
	struct vm_range	*range;
	/* The collection table, which has no gaps: entry by entry. */
	uint16_t	*icid, *target;
	unsigned	 ncoll, maxcoll;
};

struct gic {
	/* declared */
	uint32_t	 ctlr;
	struct gic_bank	 bank[NBANKS];
	uint64_t	 router[ARM64_NSPI];
	struct gic_its	 its;
	/* not declared */
	uint8_t		*lpi_conf;	/* of LPIs, as the guest's configuration table had it when told to look; NULL: no ITS */
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

uint32_t gic_id_register(uint32_t off);

/*
 * gicv3_lpi.c: LPIs as redistributors have them.  With the lock held.
 */
#define	LPI_CONF_ENABLE	0x1U
/* GICR_PROPBASER, GICR_PENDBASER (IHI 0069 12.11): what of them is stored, and parts */
#define	PROPBASER_IDBITS 0x1fU
#define	PROPBASER_ADDR	0x000ffffffffff000ULL
#define	PROPBASER_MASK	(0x0700000000000f80ULL | PROPBASER_ADDR | PROPBASER_IDBITS)
#define	PENDBASER_ADDR	0x000fffffffff0000ULL
#define	PENDBASER_MASK	(0x0700000000000f80ULL | PENDBASER_ADDR)
#define	PENDBASER_PTZ	(1ULL << 62)
/* What a 32-bit register of the LPI part of a redistributor's first frame reads, or a write to it does; false: not one of them. */
bool	gic_lpi_register(struct gic *g, struct gic_cpu *c, uint32_t off, bool write, uint32_t *val);
void	gic_lpi_set(struct gic *g, struct gic_cpu *c, uint32_t intid, bool pending);
bool	gic_lpi_pending(const struct gic_cpu *c, uint32_t intid);
/* Look at the configuration table again: one, or all. */
void	gic_lpi_invalidate(struct gic *g, uint32_t intid);
void	gic_lpi_invalidate_all(struct gic *g);
/* Move what is pending. */
void	gic_lpi_move_all(struct gic *g, struct gic_cpu *from, struct gic_cpu *to);
void	gic_lpi_reset(struct gic_cpu *c);
void	gic_lpi_loaded(struct gic *g);

/* gicv3_its.c, gicv3_its_table.c */
#define	GITS_TRANSLATER	0x10040U
int	gic_its_create(struct gic *g, uint64_t base);
void	gic_its_destroy(struct gic *g);
void	gic_its_reset(struct gic *g);
void	gic_its_loaded(struct gic *g);
/* Thread the valid entries of the tables together, as a reader that follows such links wants them. */
void	gic_its_link(struct gic *g);
/* A message with an event of a device.  Locked. */
void	gic_its_message(struct gic *g, uint32_t device, uint32_t event);

/* gicv3_cpu.c: intc_ops.sysreg */
bool	gic_sysreg(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val);

/* gicv3_state.c */
extern const struct vm_state_table gic_state_table, gic_cpu_state_table;

#endif /* _VMMAPI_ARM64_GICV3_H_ */
