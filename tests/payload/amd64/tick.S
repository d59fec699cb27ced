/* SPDX-License-Identifier: BSD-2-Clause */
/* 8254 channel 0 at about 1 kHz through the 8259; ends after PARAM(0) interrupts, counted in RESULT(0). */
#include "payload.h"
	GATE	0x20, tick
	LAPIC_ON
	movl	$0x700, LAPIC_LVT0	/* virtual wire: LINT0 is ExtINT (SDM vol. 3 10.5.1) */
	PUTB	0x20, 0x11		/* ICW1: edge, cascade, ICW4 (8259A data sheet) */
	PUTB	0xa0, 0x11
	PUTB	0x21, 0x20		/* ICW2: vectors from 0x20 and 0x28 */
	PUTB	0xa1, 0x28
	PUTB	0x21, 0x04		/* ICW3 */
	PUTB	0xa1, 0x02
	PUTB	0x21, 0x01		/* ICW4: 8086 mode */
	PUTB	0xa1, 0x01
	PUTB	0x21, 0xfe		/* OCW1: only input 0 */
	PUTB	0xa1, 0xff
	PUTB	0x43, 0x34		/* channel 0, low then high byte, mode 2 (8254 data sheet) */
	PUTB	0x40, 0xa9		/* 1193 */
	PUTB	0x40, 0x04
	WAIT_COUNT
	FINISH
tick:
	pushl	%eax
	incl	RESULT(0)
	PUTB	0x20, 0x20		/* OCW2: end of interrupt */
	popl	%eax
	RETURN
