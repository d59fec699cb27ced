/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl061.c - the PrimeCell GPIO (Arm PL061 Technical Reference Manual, DDI 0190B, "TRM"): eight lines, each an input or an output,
 * with an interrupt by edge or level.  Lines that nothing drives are low.
 *
 * The chip's lock guards everything.
 */
#include "../chip.h"
#include "../primecell.h"
#include "pl061.h"

#define	PART	0x061
#define	MS	1000U
#define	PRESSED	100U		/* milliseconds */

/* Registers (TRM table 3-1).  Below 0x400 is the data register; bits 9:2 of the address say which lines an access is about. */
#define	R_DIR	0x400
#define	R_IS	0x404
#define	R_IBE	0x408
#define	R_IEV	0x40c
#define	R_IE	0x410
#define	R_RIS	0x414
#define	R_MIS	0x418
#define	R_IC	0x41c
#define	R_AFSEL	0x420

#define	DATA_MASK(off)	((uint8_t)((off) >> 2))

struct gpio {
	struct chip	 chip;		/* its timer lets buttons go: milliseconds */

	/* state */
	uint8_t		 out;		/* data register: levels of outputs */
	uint8_t		 in;		/* levels of inputs */
	uint8_t		 dir;		/* 1: output */
	uint8_t		 is;		/* 1: by level */
	uint8_t		 ibe;		/* 1: by both edges */
	uint8_t		 iev;		/* 1: by rising edge or high level */
	uint8_t		 ie;
	uint8_t		 edges;		/* edges that were seen */
	uint8_t		 afsel;
	uint64_t	 release;	/* count at which all buttons are let go; 0: none is pressed */
};
CHIP_FIRST(struct gpio, chip);

/* Levels of the lines. */
static uint8_t
lines(const struct gpio *g)
{
	return ((g->out & g->dir) | (uint8_t)(g->in & ~g->dir));
}

/* TRM 3.3.6: a level is not remembered, an edge is until it is cleared. */
static uint8_t
raw_status(const struct gpio *g)
{
	uint8_t now = lines(g) ^ (uint8_t)~g->iev;

	return ((uint8_t)(g->edges & ~g->is) | (now & g->is));
}

static bool
gpio_level(const void *soft)
{
	const struct gpio *g = soft;

	return ((raw_status(g) & g->ie) != 0);
}

static bool
gpio_deadline(const void *soft, uint64_t *count)
{
	const struct gpio *g = soft;

	*count = g->release;
	return (g->release != 0);
}

/* Levels were old: note the edges that count. */
static void
see_edges(struct gpio *g, uint8_t old)
{
	uint8_t now = lines(g), rising = now & (uint8_t)~old, falling = old & (uint8_t)~now;

	g->edges |= (rising & (g->ibe | g->iev)) | (falling & (uint8_t)(g->ibe | ~g->iev));
	/* Of lines whose level is looked at nothing is remembered. */
	g->edges &= (uint8_t)~g->is;
}

static void
set_inputs(struct gpio *g, uint8_t in)
{
	uint8_t old = lines(g);

	g->in = in;
	see_edges(g, old);
}

static void
gpio_expire(void *soft)
{
	struct gpio *g = soft;

	if (g->release != 0 && vm_timer_count(g->chip.timer) >= g->release) {
		g->release = 0;
		set_inputs(g, 0);
	}
}

static uint32_t
gpio_read(void *soft, uint64_t reg)
{
	const struct gpio *g = soft;

	if (reg < R_DIR)
		return (lines(g) & DATA_MASK(reg));
	switch (reg) {
	case R_DIR:
		return (g->dir);
	case R_IS:
		return (g->is);
	case R_IBE:
		return (g->ibe);
	case R_IEV:
		return (g->iev);
	case R_IE:
		return (g->ie);
	case R_RIS:
		return (raw_status(g));
	case R_MIS:
		return (raw_status(g) & g->ie);
	case R_AFSEL:
		return (g->afsel);
	default:
		return (reg >= PRIMECELL_ID ? primecell_id(PART, 0, reg) : 0);
	}
}

static void
gpio_write(void *soft, uint64_t reg, uint32_t word)
{
	struct gpio *g = soft;
	uint8_t val = (uint8_t)word, old = lines(g);

	if (reg < R_DIR) {
		g->out = (uint8_t)(g->out & ~DATA_MASK(reg)) | (val & DATA_MASK(reg));
		see_edges(g, old);
		return;
	}
	switch (reg) {
	case R_DIR:
		g->dir = val;
		see_edges(g, old);
		break;
	case R_IS:
		g->is = val;
		g->edges &= (uint8_t)~val;
		break;
	case R_IBE:
		g->ibe = val;
		break;
	case R_IEV:
		g->iev = val;
		break;
	case R_IE:
		g->ie = val;
		break;
	case R_IC:
		g->edges &= (uint8_t)~val;
		break;
	case R_AFSEL:
		g->afsel = val;		/* there is no other function: it is data */
		break;
	}
}

static void
gpio_reset(void *soft)
{
	struct gpio *g = soft;

	g->out = g->in = g->dir = g->is = g->ibe = g->iev = g->ie = g->edges = g->afsel = 0;
	g->release = 0;
}

static int	gpio_init(struct device *dev);

void
pl061_press(struct device *dev, unsigned line)
{
	struct gpio *g;

	if (dev == NULL || dev->cls->init != gpio_init || line >= PL061_LINES)
		return;
	g = dev->soft;
	pthread_mutex_lock(&g->chip.lock);
	/* While it is paused nothing of the outside comes in. */
	if (g->chip.active) {
		set_inputs(g, g->in | (uint8_t)(1U << line));
		g->release = vm_timer_count(g->chip.timer) + PRESSED;
		chip_settle(&g->chip);
	}
	pthread_mutex_unlock(&g->chip.lock);
}

static void
gpio_describe(struct device *dev, struct device_description *desc)
{
	static const struct device_property controller = DEVICE_PROP_FLAG("gpio-controller"),
	    cells = DEVICE_PROP_CELL("#gpio-cells", 2);

	desc->compatible = "arm,pl061 arm,primecell";
	desc->hid = "ARMH0061";
	desc->node = "gpio";
	desc->clocks = "apb_pclk";
	desc->prop[0] = controller;
	desc->prop[1] = cells;
}

static int
gpio_check(void *obj)
{
	const struct gpio *g = obj;

	if ((g->edges & g->is) != 0)
		return (vm_state_complain("an edge was seen on a line whose level is looked at"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_U8(struct gpio, out), VM_STATE_U8(struct gpio, in), VM_STATE_U8(struct gpio, dir),
	VM_STATE_U8(struct gpio, is), VM_STATE_U8(struct gpio, ibe), VM_STATE_U8(struct gpio, iev),
	VM_STATE_U8(struct gpio, ie), VM_STATE_U8(struct gpio, edges), VM_STATE_U8(struct gpio, afsel),
	VM_STATE_U64(struct gpio, release),
};

static const struct vm_state_table state = VM_STATE_TABLE("pl061", 1, 1, fields, gpio_check);

static const struct chip_ops ops = {
	.bus = CHIP_WORDS,
	.hz = MS,
	.reset = gpio_reset,
	.level = gpio_level,
	.deadline = gpio_deadline,
	.expire = gpio_expire,
	.read = gpio_read,
	.write = gpio_write,
};

static int
gpio_init(struct device *dev)
{
	return (chip_init(dev, &ops));
}

DEVICE_CLASS_NOKEYS(pl061, "pl061", "PrimeCell GPIO", &state,
    .on = DEVICE_ON_MMIO,
    .range_len = PRIMECELL_LEN,
    .nirqs = 1,
    .size = sizeof(struct gpio),
    .init = gpio_init,
    CHIP_LIFE,
    .describe = gpio_describe);
