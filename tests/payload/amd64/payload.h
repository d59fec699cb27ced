/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.h - what the amd64 test payloads share.
 *
 * Entered in flat 32-bit protected mode with paging off and interrupts disabled, at 0x10000; ESP 0x8000 + 0x1000 * n and
 * EDI n for vCPU n; GDT (null, code 8, data 16) at 0x800; IDTR at the empty table at 0x1000.  Only integer
 * instructions that KVM's emulator and the smallest interpreter both have.
 */
#define	IDT		0x1000
#define	PARAM(n)	(0x6000 + 8 * (n))	/* set by the harness */
#define	RESULT(n)	(0x6800 + 8 * (n))	/* read by the harness */
#define	ARENA		0x100000		/* data pages */

#define	PORT_EXIT	0xf4			/* a byte written ends the vCPU */
#define	PORT_PROBE	0x510			/* nobody's */
#define	PORT_CMD	0x600			/* control block: read the next command */
#define	PORT_REPORT	0x604			/* write an answer */
#define	PORT_STOP	0x608			/* read: time to stop? */
#define	PORT_ACK	0x60c			/* write: an interrupt was seen */
#define	PORT_BELL	0x700
#define	MMIO_PROBE	0xc0000000		/* nobody's */
#define	MMIO_BELL	0xc0010000

#define	LAPIC		0xfee00000
#define	LAPIC_EOI	(LAPIC + 0xb0)
#define	LAPIC_SVR	(LAPIC + 0xf0)
#define	LAPIC_LVT0	(LAPIC + 0x350)
#define	IOAPIC_SEL	0xfec00000
#define	IOAPIC_WIN	0xfec00010

	.code32
	.text
	.globl	_start
_start:

/* Make vector vec an interrupt gate to handler (SDM vol. 3 figure 6-2).  Clobbers EAX, EDX. */
	.macro	GATE vec, handler
	movl	$\handler, %eax
	movl	%eax, %edx
	andl	$0xffff, %eax
	orl	$0x80000, %eax
	movl	%eax, IDT + 8 * (\vec)
	andl	$0xffff0000, %edx
	orl	$0x8e00, %edx
	movl	%edx, IDT + 8 * (\vec) + 4
	.endm

/* Switch the local APIC on (SDM vol. 3 figure 10-23: bit 8), spurious vector 0xff. */
	.macro	LAPIC_ON
	movl	$0x1ff, LAPIC_SVR
	.endm

/*
 * Return from an interrupt: by IRET if PARAM(15) says that it can be had (KVM's emulator has none for protected mode), else
 * by hand, with interrupts left disabled so that no other one uses RETURN_TO in between.  The code that waits for interrupts disables
 * them anyway.
 */
#define	RETURN_TO	0x5ff8
	.macro	RETURN
	cmpl	$0, PARAM(15)
	jnz	8f
	popl	RETURN_TO
	addl	$4, %esp
	andl	$~0x200, (%esp)
	popfl
	jmp	*RETURN_TO
8:	iretl
	.endm

/*
 * Of round i, which is on top of the stack, the first half: h = h * 33 + i; table[i mod 16] ^= h.  h is EAX, the table at ARENA.  A function, where it
 * stands.  Clobbers EBX.
 */
	.macro	MIX
	movl	%eax, %ebx
	shll	$5, %ebx
	addl	%ebx, %eax
	addl	4(%esp), %eax
	movl	4(%esp), %ebx
	andl	$15, %ebx
	xorl	%eax, ARENA(,%ebx,4)
	ret
	.endm

/* Wait for interrupts until RESULT(0) is PARAM(0).  One that comes between the look and the HLT waits for the STI. */
	.macro	WAIT_COUNT
4:	sti
	hlt
	cli
	movl	RESULT(0), %eax
	cmpl	PARAM(0), %eax
	jb	4b
	.endm

/*
 * For vCPU 0: an identity map of 4 GiB in pages of 2 MiB (SDM vol. 3 4.5), in six pages from tables on: PML4, PDPT, four page directories, whose
 * entries have these flags.  Clobbers EAX, ECX.
 */
	.macro	IDENTITY_MAP tables, flags
	movl	$(\tables + 0x1007), \tables
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$12, %eax
	addl	$(\tables + 0x2007), %eax
	movl	%eax, \tables + 0x1000(,%ecx,8)
	incl	%ecx
	cmpl	$4, %ecx
	jb	1b
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$21, %eax
	orl	$\flags, %eax
	movl	%eax, \tables + 0x2000(,%ecx,8)
	incl	%ecx
	cmpl	$2048, %ecx
	jb	1b
	.endm

/* Into 64-bit mode (SDM vol. 3 9.8.5), with these bits of CR4, EFER and CR0 set; GDT and IDT are loaded, code is selector 0x18.  Clobbers EAX, ECX, EDX. */
	.macro	LONG_MODE tables, cr4, efer, cr0, entry
	movl	%cr4, %eax
	orl	$\cr4, %eax
	movl	%eax, %cr4
	movl	$\tables, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$\efer, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$~0x6000000c, %eax	/* CD, NW, TS, EM */
	orl	$\cr0, %eax
	movl	%eax, %cr0
	ljmp	$0x18, $\entry
	.endm

/* End this vCPU. */
	.macro	FINISH
	cli
	xorl	%eax, %eax
	outb	%al, $PORT_EXIT
9:	hlt
	jmp	9b
	.endm

	.macro	PUTB port, val
	movb	$\val, %al
	outb	%al, $\port
	.endm
