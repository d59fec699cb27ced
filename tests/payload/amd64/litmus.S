/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * litmus.S - memory-ordering tests.  PARAM(0): which; PARAM(1): iterations; PARAM(2): vCPUs.
 *
 * In iteration i everyone meets at a barrier, does its part and meets again; a store stores i, so that "the new value" is i and the
 * old one is less, and nothing has to be cleared.  vCPU 0 then judges what was read, as numbers in SEEN(cpu, 0) and
 * SEEN(cpu, 1), and counts: RESULT(0): both new; RESULT(1): both old; RESULT(2): the outcome that the test is about, which not every
 * processor may show; RESULT(3): iterations.
 */
#include "payload.h"

#define	X		(ARENA)
#define	Y		(ARENA + 0x100)
#define	BARRIER		(ARENA + 0x200)
#define	COUNT		(ARENA + 0x300)
#define	SEEN(cpu, n)	(ARENA + 0x400 + 0x40 * (cpu) + 4 * (n))

	.macro	MEET
	addl	PARAM(2), %ebp
	lock incl BARRIER
	movl	$1000, %ecx		/* turns without a pause, so that all leave at the same time */
8:	cmpl	%ebp, BARRIER
	jae	9f
	decl	%ecx
	jnz	8b
	pause
	incl	%ecx
	jmp	8b
9:
	.endm

	/* Flags for "new": ZF if the value at \at is i (EBX). */
	.macro	NEW at
	cmpl	%ebx, \at
	.endm

	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
again:
	incl	%ebx
	cmpl	PARAM(1), %ebx
	ja	done
	MEET
	movl	PARAM(0), %eax
	movl	tests(,%eax,4), %eax
	jmp	*(%eax,%edi,4)

join:	MEET
	testl	%edi, %edi
	jnz	again
	incl	RESULT(3)
	movl	PARAM(0), %eax
	jmp	*judges(,%eax,4)
judged:	jmp	again

done:	FINISH

	.balign	4
tests:	.long	sb, mp, lb, iriw, sbf, atomics, split
judges:	.long	judge_sb, judge_mp, judge_lb, judge_iriw, judge_sb, judged, judged
sb:	.long	sb0, sb1, join, join
mp:	.long	mp0, mp1, join, join
lb:	.long	lb0, lb1, join, join
iriw:	.long	store_x, store_y, iriw2, iriw3
sbf:	.long	sbf0, sbf1, join, join
atomics: .long	add, add, add, add
split:	.long	add_split, add_split, add_split, add_split

/* Store buffering: both may read the old value (SDM vol. 3 8.2.3.4). */
sb0:	movl	%ebx, X
	movl	Y, %eax
	movl	%eax, SEEN(0, 0)
	jmp	join
sb1:	movl	%ebx, Y
	movl	X, %eax
	movl	%eax, SEEN(1, 0)
	jmp	join

/* With a fence and a locked instruction in between they must not (8.2.3.9). */
sbf0:	movl	%ebx, X
	lock orl $0, (%esp)
	movl	Y, %eax
	movl	%eax, SEEN(0, 0)
	jmp	join
sbf1:	movl	%ebx, %eax
	xchgl	%eax, Y
	movl	X, %eax
	movl	%eax, SEEN(1, 0)
	jmp	join

/* Message passing: the flag must not come before the data (8.2.3.2). */
mp0:	movl	%ebx, X
	movl	%ebx, Y
	jmp	join
mp1:	movl	Y, %eax
	movl	X, %ecx
	movl	%eax, SEEN(1, 0)
	movl	%ecx, SEEN(1, 1)
	jmp	join

/* Load buffering: loads must not see stores that come after them (8.2.3.3). */
lb0:	movl	X, %eax
	movl	%ebx, Y
	movl	%eax, SEEN(0, 0)
	jmp	join
lb1:	movl	Y, %eax
	movl	%ebx, X
	movl	%eax, SEEN(1, 0)
	jmp	join

/* Independent reads of independent writes: all see one order (8.2.3.7). */
store_x: movl	%ebx, X
	jmp	join
store_y: movl	%ebx, Y
	jmp	join
iriw2:	movl	X, %eax
	movl	Y, %ecx
	movl	%eax, SEEN(2, 0)
	movl	%ecx, SEEN(2, 1)
	jmp	join
iriw3:	movl	Y, %eax
	movl	X, %ecx
	movl	%eax, SEEN(3, 0)
	movl	%ecx, SEEN(3, 1)
	jmp	join

/* Atomics: nothing is lost. */
add:	lock incl COUNT
	movl	$1, %eax
	lock xaddl %eax, COUNT + 4
1:	movl	COUNT + 8, %eax
	leal	1(%eax), %ecx
	lock cmpxchgl %ecx, COUNT + 8
	jne	1b
	lock addw $1, COUNT + 12
	jmp	join
/* Across cache lines and across pages. */
add_split:
	lock incl COUNT + 0x3e
	lock incl ARENA + 0x2ffd
	lock addl $1, ARENA + 0x3001
	jmp	join

judge_sb:
	NEW	SEEN(0, 0)
	jne	1f
	NEW	SEEN(1, 0)
	jne	judged
	incl	RESULT(0)
	jmp	judged
1:	NEW	SEEN(1, 0)
	je	judged
	incl	RESULT(2)
	jmp	judged
judge_mp:
	NEW	SEEN(1, 0)
	jne	1f
	NEW	SEEN(1, 1)
	je	2f
	incl	RESULT(2)
	jmp	judged
2:	incl	RESULT(0)
	jmp	judged
1:	NEW	SEEN(1, 1)
	je	judged
	incl	RESULT(1)
	jmp	judged
judge_lb:
	NEW	SEEN(0, 0)
	jne	1f
	NEW	SEEN(1, 0)
	jne	judged
	incl	RESULT(2)
	jmp	judged
1:	NEW	SEEN(1, 0)
	je	judged
	incl	RESULT(1)
	jmp	judged
judge_iriw:
	NEW	SEEN(2, 0)
	jne	1f
	NEW	SEEN(2, 1)
	je	2f
	NEW	SEEN(3, 0)
	jne	judged
	NEW	SEEN(3, 1)
	je	judged
	incl	RESULT(2)
	jmp	judged
2:	incl	RESULT(0)
	jmp	judged
1:	incl	RESULT(1)
	jmp	judged
