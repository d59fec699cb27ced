/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ps2.h - what is at a PS/2 controller's two connectors: a keyboard and a mouse, as far as their answers to commands.
 *
 * Nobody presses keys or moves the mouse: there is no display yet.  What only has to do with that (LEDs, the rate of repetition, whether
 * keys are reported) is acknowledged and has nothing to act on.
 *
 * The owner's lock guards everything.
 */
#ifndef _HYVE_PS2_H_
#define	_HYVE_PS2_H_

#include <stdbool.h>
#include <stdint.h>

#define	PS2_QUEUE	8		/* more than the longest answer */

/* All of it is state. */
struct ps2 {
	uint8_t		 queue[PS2_QUEUE];	/* what it has to say */
	uint8_t		 len;
	uint8_t		 last;		/* what it said last */
	uint8_t		 command;	/* that waits for its argument; 0: none */
	uint8_t		 set;		/* keyboard: of scan codes, 1 to 3 */
	uint8_t		 mode;		/* mouse: PS2_MODE_* */
	uint8_t		 resolution;	/* mouse: 0 to 3 */
	uint8_t		 rate;		/* mouse: reports in a second */
};

#define	PS2_MODE_SCALED	0x10U		/* at their places in the mouse's status */
#define	PS2_MODE_ENABLED 0x20U
#define	PS2_MODE_REMOTE	0x40U
#define	PS2_MODE_WRAP	0x80U		/* not in it */

struct ps2_model;
extern const struct ps2_model ps2_keyboard, ps2_mouse;

/* Power-on, without the report of its self test. */
void	ps2_reset(const struct ps2_model *model, struct ps2 *p);
/* A byte to it, which makes it forget what it had still to say. */
void	ps2_write(const struct ps2_model *model, struct ps2 *p, uint8_t v);
/* The next byte from it.  There is one. */
uint8_t	ps2_take(struct ps2 *p);
/* Whether a state can be. */
bool	ps2_valid(const struct ps2_model *model, const struct ps2 *p);

extern const struct vm_state_table ps2_state;

#endif /* _HYVE_PS2_H_ */
