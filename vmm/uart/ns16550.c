/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ns16550.c - the 16550A UART (National Semiconductor PC16550D data sheet, "DS").
 *
 * Eight byte-wide registers, on I/O ports or MMIO.  Baud rate and word length only set the
 * character time-out, so that a guest which never wrote LCR (an early console that trusts its
 * firmware) is heard all the same.  INTR follows the interrupt
 * identification alone (DS 8.6.3); gating it by OUT2 is a matter of PC boards.
 *
 * The chip's lock guards everything.
 */
#include <string.h>

#include "serial.h"

#define	FIFO		16
#define	CLOCK_HZ	1843200		/* the PC's crystal; 16 clocks a bit at divisor 1 */

/* Registers (DS table II), by address; RBR, THR, IER give way to the divisor while LCR.DLAB is set. */
enum {
	R_RBR_THR_DLL,
	R_IER_DLM,
	R_IIR_FCR,
	R_LCR,
	R_MCR,
	R_LSR,
	R_MSR,
	R_SCR,
	R_COUNT
};

#define	IER_RX		0x01	/* received data available, and time-out */
#define	IER_THRE	0x02
#define	IER_LINE	0x04
#define	IER_MODEM	0x08
#define	IER_MASK	0x0f

#define	IIR_MODEM	0x00
#define	IIR_NONE	0x01
#define	IIR_THRE	0x02
#define	IIR_RX		0x04
#define	IIR_LINE	0x06
#define	IIR_TIMEOUT	0x0c
#define	IIR_FIFOS	0xc0

#define	FCR_ENABLE	0x01
#define	FCR_CLEAR_RX	0x02
#define	FCR_CLEAR_TX	0x04
#define	FCR_DMA		0x08
#define	FCR_TRIGGER(f)	((f) >> 6)

#define	LCR_WLEN(l)	(5U + ((l) & 3U))
#define	LCR_STOP	0x04
#define	LCR_PARITY	0x08
#define	LCR_BREAK	0x40
#define	LCR_DLAB	0x80

#define	MCR_DTR		0x01
#define	MCR_RTS		0x02
#define	MCR_OUT1	0x04
#define	MCR_OUT2	0x08
#define	MCR_LOOP	0x10
#define	MCR_MASK	0x1f

#define	LSR_DR		0x01
#define	LSR_OE		0x02
#define	LSR_PE		0x04
#define	LSR_FE		0x08
#define	LSR_BI		0x10
#define	LSR_THRE	0x20
#define	LSR_TEMT	0x40
#define	LSR_FIFOERR	0x80
#define	LSR_CHARERR	(LSR_PE | LSR_FE | LSR_BI)	/* kept with the character */

#define	MSR_DELTAS	0x0f	/* DCTS, DDSR, TERI, DDCD */
#define	MSR_TERI	0x04
#define	MSR_CTS		0x10
#define	MSR_DSR		0x20
#define	MSR_RI		0x40
#define	MSR_DCD		0x80

struct uart {
	struct serial	 port;

	/* state */
	uint8_t		 ier, fcr, lcr, mcr, msr, scr, dll, dlm;
	uint8_t		 overrun;	/* LSR_OE or 0 */
	bool		 thre;		/* a THRE interrupt waits to be identified */
	bool		 timeout;	/* a character time-out */
	uint8_t		 rx[FIFO], rxerr[FIFO], rxlen;	/* oldest first, with LSR_CHARERR bits */
	uint8_t		 tx[FIFO], txlen;
};
CHIP_FIRST(struct uart, port);

static unsigned
fifo_size(const struct uart *u)
{
	return ((u->fcr & FCR_ENABLE) != 0 ? FIFO : 1);
}

/* DS 8.6.2, receiver trigger levels. */
static unsigned
rx_trigger(const struct uart *u)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return ((u->fcr & FCR_ENABLE) != 0 ? levels[FCR_TRIGGER(u->fcr)] : 1);
}

static uint8_t
line_status(const struct uart *u)
{
	uint8_t lsr = u->overrun;

	if (u->rxlen != 0)
		lsr |= LSR_DR | u->rxerr[0];
	if (u->txlen == 0)
		lsr |= LSR_THRE | LSR_TEMT;
	/* DS 8.6.4 bit 7: an error anywhere in the FIFO; 0 in 16450 mode. */
	for (unsigned i = 0; (u->fcr & FCR_ENABLE) != 0 && i < u->rxlen; i++) {
		if (u->rxerr[i] != 0)
			lsr |= LSR_FIFOERR;
	}
	return (lsr);
}

/* The highest pending interrupt (DS table IV), without the FIFO bits. */
static uint8_t
identify(const struct uart *u)
{
	if ((u->ier & IER_LINE) != 0 && (line_status(u) & (LSR_OE | LSR_CHARERR)) != 0)
		return (IIR_LINE);
	if ((u->ier & IER_RX) != 0 && u->rxlen >= rx_trigger(u))
		return (IIR_RX);
	if ((u->ier & IER_RX) != 0 && u->timeout)
		return (IIR_TIMEOUT);
	if ((u->ier & IER_THRE) != 0 && u->thre)
		return (IIR_THRE);
	if ((u->ier & IER_MODEM) != 0 && (u->msr & MSR_DELTAS) != 0)
		return (IIR_MODEM);
	return (IIR_NONE);
}

static bool
uart_level(const void *soft)
{
	return (identify(soft) != IIR_NONE);
}

/* Four character times (DS 8.6.4.1: FIFO time-out), with the frame that LCR describes. */
static uint64_t
uart_timeout(const void *soft)
{
	const struct uart *u = soft;
	uint64_t divisor = u->dll | (uint64_t)u->dlm << 8;
	unsigned bits = 1 + LCR_WLEN(u->lcr) + ((u->lcr & LCR_PARITY) != 0) + ((u->lcr & LCR_STOP) != 0 ? 2 : 1);

	if ((u->fcr & FCR_ENABLE) == 0 || u->rxlen == 0 || u->timeout)
		return (0);
	if (divisor == 0)
		divisor = 1;
	return (4 * bits * divisor * 16 * SERIAL_HZ / CLOCK_HZ);
}

/* A character arrives at the receiver. */
static void
receive(struct uart *u, uint8_t byte, uint8_t err)
{
	if (u->rxlen == fifo_size(u)) {
		u->overrun = LSR_OE;
		/* DS 8.6.4 bit 1: the FIFO keeps what it has, the 16450's buffer is overwritten. */
		if ((u->fcr & FCR_ENABLE) != 0)
			return;
		u->rxlen = 0;
	}
	u->rx[u->rxlen] = byte;
	u->rxerr[u->rxlen++] = err;
	serial_restart_timeout(&u->port);
}

static void
uart_receive(void *soft, uint8_t byte)
{
	receive(soft, byte, 0);
}

static bool
uart_tx_due(const void *soft)
{
	return (((const struct uart *)soft)->txlen == 0);
}

static void
uart_tx_drained(void *soft)
{
	((struct uart *)soft)->thre = true;
}

/* In loop-back the serial input is disconnected (DS 8.6.6 bit 4). */
static unsigned
uart_rx_room(const void *soft)
{
	const struct uart *u = soft;

	return ((u->mcr & MCR_LOOP) == 0 ? fifo_size(u) - u->rxlen : 0);
}

static void
uart_expire(void *soft)
{
	struct uart *u = soft;

	if (u->rxlen != 0 && (u->fcr & FCR_ENABLE) != 0)
		u->timeout = true;
}

/* Modem inputs: a cable that is plugged in, or in loop-back the outputs (DS 8.6.6 bit 4). */
static void
update_modem(struct uart *u)
{
	uint8_t in = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if ((u->mcr & MCR_LOOP) != 0) {
		in = (u->mcr & MCR_RTS) != 0 ? MSR_CTS : 0;
		in |= (u->mcr & MCR_DTR) != 0 ? MSR_DSR : 0;
		in |= (u->mcr & MCR_OUT1) != 0 ? MSR_RI : 0;
		in |= (u->mcr & MCR_OUT2) != 0 ? MSR_DCD : 0;
	}
	changed = (uint8_t)(u->msr ^ in) >> 4;
	/* TERI: only the trailing edge of RI (DS 8.6.7 bit 2). */
	if ((in & MSR_RI) != 0)
		changed &= (uint8_t)~MSR_TERI;
	u->msr = in | (u->msr & MSR_DELTAS) | changed;
}

static uint8_t
read_rbr(struct uart *u)
{
	uint8_t byte = u->rx[0];

	if (u->rxlen == 0)
		return (0);
	u->rxlen--;
	memmove(u->rx, u->rx + 1, u->rxlen);
	memmove(u->rxerr, u->rxerr + 1, u->rxlen);
	u->timeout = false;
	serial_restart_timeout(&u->port);
	serial_exchange(&u->port);
	return (byte);
}

static uint32_t
uart_read(void *soft, uint64_t reg)
{
	struct uart *u = soft;
	uint8_t val = 0;

	switch (reg) {
	case R_RBR_THR_DLL:
		val = (u->lcr & LCR_DLAB) != 0 ? u->dll : read_rbr(u);
		break;
	case R_IER_DLM:
		val = (u->lcr & LCR_DLAB) != 0 ? u->dlm : u->ier;
		break;
	case R_IIR_FCR:
		val = identify(u);
		/* DS table IV: reading IIR resets THRE if it is the source. */
		if (val == IIR_THRE)
			u->thre = false;
		if ((u->fcr & FCR_ENABLE) != 0)
			val |= IIR_FIFOS;
		break;
	case R_LCR:
		val = u->lcr;
		break;
	case R_MCR:
		val = u->mcr;
		break;
	case R_LSR:
		val = line_status(u);
		u->overrun = 0;
		if (u->rxlen != 0)
			u->rxerr[0] = 0;
		break;
	case R_MSR:
		val = u->msr;
		u->msr &= (uint8_t)~MSR_DELTAS;
		break;
	case R_SCR:
		val = u->scr;
		break;
	}
	return (val);
}

static void
write_thr(struct uart *u, uint8_t val)
{
	u->thre = false;
	if ((u->mcr & MCR_LOOP) != 0) {
		receive(u, val & (0xffU >> (8 - LCR_WLEN(u->lcr))), 0);
		u->thre = true;
		return;
	}
	/* A full FIFO loses the character; the 16450's register is overwritten. */
	if (u->txlen == fifo_size(u)) {
		if ((u->fcr & FCR_ENABLE) != 0)
			return;
		u->txlen = 0;
	}
	u->tx[u->txlen++] = val;
	serial_exchange(&u->port);
}

static void
clear_rx(struct uart *u)
{
	u->rxlen = 0;
	u->timeout = false;
	serial_restart_timeout(&u->port);
}

static void
clear_tx(struct uart *u)
{
	if (u->txlen != 0)
		u->thre = true;
	u->txlen = 0;
}

/* DS 8.6.2. */
static void
write_fcr(struct uart *u, uint8_t val)
{
	if (((val ^ u->fcr) & FCR_ENABLE) != 0)
		val |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	else if ((val & FCR_ENABLE) == 0)
		return;		/* the other bits need bit 0 set as they are written */
	u->fcr = (val & FCR_ENABLE) != 0 ? val & (FCR_ENABLE | FCR_DMA | 0xc0) : 0;
	if ((val & FCR_CLEAR_RX) != 0)
		clear_rx(u);
	if ((val & FCR_CLEAR_TX) != 0)
		clear_tx(u);
	serial_exchange(&u->port);
}

static void
uart_write(void *soft, uint64_t reg, uint32_t word)
{
	struct uart *u = soft;
	uint8_t val = (uint8_t)word, old;

	switch (reg) {
	case R_RBR_THR_DLL:
		if ((u->lcr & LCR_DLAB) != 0)
			u->dll = val;
		else
			write_thr(u, val);
		break;
	case R_IER_DLM:
		if ((u->lcr & LCR_DLAB) != 0) {
			u->dlm = val;
			break;
		}
		/* Enabling THRE while the transmitter is empty raises it. */
		if ((u->ier & IER_THRE) == 0 && (val & IER_THRE) != 0 && u->txlen == 0)
			u->thre = true;
		u->ier = val & IER_MASK;
		break;
	case R_IIR_FCR:
		write_fcr(u, val);
		break;
	case R_LCR:
		old = u->lcr;
		u->lcr = val;
		/* A break that loops back arrives as a zero with BI, and without its stop bit (DS 8.6.4 bit 4). */
		if ((u->mcr & MCR_LOOP) != 0 && (old & LCR_BREAK) == 0 && (val & LCR_BREAK) != 0)
			receive(u, 0, LSR_BI | LSR_FE);
		break;
	case R_MCR:
		u->mcr = val & MCR_MASK;
		update_modem(u);
		serial_exchange(&u->port);
		break;
	case R_LSR:		/* factory test; read-only for us */
	case R_MSR:
		break;
	case R_SCR:
		u->scr = val;
		break;
	}
}

/* DS table III, master reset.  The divisor is undefined there; 9600 baud is what PC firmware leaves. */
static void
uart_reset(void *soft)
{
	struct uart *u = soft;

	u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
	u->dll = 12;
	u->dlm = 0;
	u->overrun = 0;
	u->thre = u->timeout = false;
	u->rxlen = u->txlen = 0;
	memset(u->rxerr, 0, sizeof(u->rxerr));
	u->msr = 0;
	update_modem(u);
	u->msr &= (uint8_t)~MSR_DELTAS;
}

static void
uart_describe(struct device *dev, struct device_description *desc)
{
	desc->compatible = "ns16550a";
	desc->node = "serial";
	desc->hid = "PNP0501";
	desc->clock_hz = CLOCK_HZ;
}

/* What no 16550 can be in. */
static int
uart_check(void *obj)
{
	const struct uart *u = obj;
	unsigned size = fifo_size(u);

	if (u->rxlen > size || u->txlen > size)
		return (vm_state_complain("%u and %u characters in FIFOs of %u", u->rxlen, u->txlen, size));
	if (u->timeout && (u->rxlen == 0 || (u->fcr & FCR_ENABLE) == 0))
		return (vm_state_complain("a character time-out without a character"));
	if ((u->ier & ~IER_MASK) != 0 || (u->mcr & ~MCR_MASK) != 0 || (u->overrun & ~LSR_OE) != 0 ||
	    (u->fcr & (FCR_CLEAR_RX | FCR_CLEAR_TX)) != 0 || ((u->fcr & FCR_ENABLE) == 0 && u->fcr != 0))
		return (vm_state_complain("a register has bits that do not exist"));
	for (unsigned i = 0; i < FIFO; i++) {
		if ((u->rxerr[i] & ~LSR_CHARERR) != 0)
			return (vm_state_complain("a received character has errors that do not exist"));
	}
	return (0);
}

static const struct config_key keys[] = {
	SERIAL_KEYS,
};

static const struct vm_state_field fields[] = {
	VM_STATE_U8(struct uart, ier), VM_STATE_U8(struct uart, fcr), VM_STATE_U8(struct uart, lcr),
	VM_STATE_U8(struct uart, mcr), VM_STATE_U8(struct uart, msr), VM_STATE_U8(struct uart, scr),
	VM_STATE_U8(struct uart, dll), VM_STATE_U8(struct uart, dlm), VM_STATE_U8(struct uart, overrun),
	VM_STATE_BOOL(struct uart, thre), VM_STATE_BOOL(struct uart, timeout),
	VM_STATE_BYTES(struct uart, rx), VM_STATE_BYTES(struct uart, rxerr), VM_STATE_U8(struct uart, rxlen),
	VM_STATE_BYTES(struct uart, tx), VM_STATE_U8(struct uart, txlen),
};

static const struct vm_state_table state = VM_STATE_TABLE("ns16550", 1, 1, fields, uart_check);

static const struct serial_ops ops = {
	.chip = {
		SERIAL_CHIP, .bus = CHIP_BYTES, .reset = uart_reset, .level = uart_level, .expire = uart_expire, .read = uart_read,
		.write = uart_write,
	},
	.tx_due = uart_tx_due,
	.tx_drained = uart_tx_drained,
	.rx_room = uart_rx_room,
	.receive = uart_receive,
	.timeout = uart_timeout,
};

static int
uart_init(struct device *dev)
{
	struct uart *u = dev->soft;

	return (serial_init(dev, &ops, u->tx, &u->txlen));
}

DEVICE_CLASS(ns16550, "ns16550", "16550A serial port", keys, &state,
    .on = DEVICE_ON_MMIO | DEVICE_ON_IO,
    .range_len = R_COUNT,
    .nirqs = 1,
    .size = sizeof(struct uart),
    .init = uart_init,
    SERIAL_LIFE,
    .describe = uart_describe);
