/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * apic.h - the parts of the amd64 interrupt controller: one 8259A pair, one I/O APIC, a local APIC
 * per vCPU.
 *
 * One lock, apic.lock, covers all of it.  It is taken after a line's lock and before the clock's.
 * What has to be told to others (interrupt outputs, INIT and start-up messages, ends of level
 * interrupts) is collected in struct apic_work while the lock is held and done by apic_finish()
 * after it was released.
 */
#ifndef _VMMAPI_APIC_H_
#define	_VMMAPI_APIC_H_

#include "amd64.h"
#include "i8259.h"

/* Delivery modes (SDM vol. 3 10.6.1, 10.11.2; 82093AA 3.2.4). */
enum apic_mode {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_SIPI = 6,
	APIC_EXTINT = 7,
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define	LVT_MASKED	0x10000U

struct apic;

struct lapic {
	struct vcpu	*vcpu;
	struct apic	*apic;
	struct vm_timer	*timer;		/* counts nanoseconds of the VM's clock */
	_Atomic bool	 out;		/* an interrupt for the CPU */
	_Atomic bool	 resync;	/* TPR or TSC deadline changed on this side */
	_Atomic uint64_t base;		/* IA32_APIC_BASE as last seen in the state page */
	_Atomic uint8_t	 cr8;		/* CR8 as last seen there */

	/* declared */
	uint32_t	tpr, ldr, dfr, svr;
	uint32_t	esr, esr_new;	/* as read; errors since its last write */
	uint64_t	icr;
	uint32_t	lvt[LVT_COUNT];
	uint32_t	irr[8], isr[8], tmr[8];
	uint32_t	init_count, divide;
	uint64_t	deadline;	/* timer count at which it expires */
	uint64_t	tsc_deadline;
	bool		armed;
};

struct ioapic {
	uint64_t	rte[AMD64_NPINS];
	uint32_t	line;		/* levels at the inputs: asserted, whatever the polarity */
	uint8_t		id;
	uint8_t		select;
};

#define	APIC_NRANGES	8

struct apic {
	struct vmctx	*vm;
	pthread_mutex_t	 lock;
	struct vm_range	*range[APIC_NRANGES];
	unsigned	 nranges;

	/* declared */
	struct i8259_pair pic;
	struct ioapic	 ioapic;
	uint8_t		 next;		/* vCPU at which the next arbitration starts */
};

/* What is to be done when the lock has been released; a bit per vCPU, line or input. */
struct apic_work {
	uint64_t	notify, init, sipi, nmi;
	uint32_t	pins;		/* I/O APIC inputs whose level interrupt ended */
	uint16_t	pic;		/* 8259 inputs whose interrupt ended */
	uint8_t		sipi_vector;
};

/* A message on the system bus. */
struct apic_msg {
	uint32_t	dest;
	uint8_t		mode;		/* enum apic_mode */
	uint8_t		vector;
	bool		logical;
	bool		level;
	bool		wide;		/* dest has 32 bits (sent in x2APIC mode), else 8 */
};

/* apic.c */
void	apic_begin(struct apic *a, struct apic_work *w);	/* take the lock */
void	apic_finish(struct apic *a, struct apic_work *w);	/* release it and do the work */
/* Deliver to those addressed; true if anyone took it.  Locked. */
bool	apic_send(struct apic *a, const struct apic_msg *msg, struct apic_work *w);
bool	apic_send_to(struct apic *a, uint64_t targets, uint8_t mode, uint8_t vector, bool level,
	    struct apic_work *w);
struct lapic *apic_lapic(struct apic *a, unsigned cpu);		/* NULL: no such vCPU */

/* ioapic.c; all locked */
extern const struct vm_state_table ioapic_table;
void	ioapic_reset(struct ioapic *io);
void	ioapic_set(struct apic *a, unsigned pin, bool level, struct apic_work *w);
uint32_t ioapic_read(struct ioapic *io, uint64_t off);
void	ioapic_write(struct apic *a, uint64_t off, uint32_t val, struct apic_work *w);
/* A level interrupt of this vector ended: note its inputs in w. */
void	ioapic_eoi(struct apic *a, uint8_t vector, struct apic_work *w);
/* Their sources were told: open these inputs for the next interrupt. */
void	ioapic_reopen(struct apic *a, uint32_t pins, struct apic_work *w);
/* Offer level interrupts that are still waiting, after someone became able to take them. */
void	ioapic_retry(struct apic *a, struct apic_work *w);

/* lapic.c; all locked but where noted */
extern const struct vm_state_table lapic_table;
int	lapic_create(struct apic *a, struct vcpu *vcpu);	/* unlocked */
void	lapic_destroy(struct vcpu *vcpu);			/* unlocked */
void	lapic_reset(struct lapic *lp);				/* power-on */
void	lapic_init(struct lapic *lp);				/* INIT */
void	lapic_loaded(struct lapic *lp);
/*
 * Take over what the CPU changed in its state page (CR8, APIC_BASE), and give back. The CPU's
 * thread.
 */
void	lapic_sync(struct lapic *lp);
void	lapic_update(struct lapic *lp, struct apic_work *w);	/* recompute the output */
bool	lapic_enabled(const struct lapic *lp);			/* APIC_BASE.EN: is on the bus */
bool	lapic_x2apic(const struct lapic *lp);
bool	lapic_decodes(const struct lapic *lp);			/* its page, at the default address */
bool	lapic_matches(const struct lapic *lp, const struct apic_msg *msg);
bool	lapic_accepting(const struct lapic *lp);		/* software-enabled too */
uint8_t	lapic_ppr(const struct lapic *lp);
bool	lapic_accept(struct lapic *lp, uint8_t vector, bool level, struct apic_work *w);
bool	lapic_takes_pic(const struct lapic *lp);		/* ExtINT reaches the CPU */
int	lapic_ack(struct lapic *lp, struct apic_work *w);
uint32_t lapic_read(struct lapic *lp, unsigned reg);
void	lapic_write(struct lapic *lp, unsigned reg, uint32_t val, struct apic_work *w);
bool	lapic_msr(struct lapic *lp, uint64_t reg, bool write, uint64_t *val, struct apic_work *w);

#endif /* _VMMAPI_APIC_H_ */
