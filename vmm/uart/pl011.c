/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl011.c - the PrimeCell UART (Arm PL011 Technical Reference Manual, DDI 0183G, "TRM"), revision r1p5 with FIFOs of 32 characters.
 *
 * Baud rate and word length only set the receive time-out.  The transmitter sends whether it was enabled or not, so that an early console
 * that trusts its firmware to have done that is heard when there was no firmware.  There is no DMA: its register is data.
 *
 * The chip's lock guards everything.
 */
#include <string.h>

#include "../primecell.h"
#include "serial.h"

#define	FIFO		32
#define	CLOCK_HZ	24000000	/* UARTCLK */
#define	PART		0x011
#define	REVISION	3		/* r1p5 (TRM 3.3.14) */

/* Registers (TRM table 3-1). */
#define	R_DR		0x000
#define	R_RSR		0x004		/* writing it is ECR */
#define	R_FR		0x018
#define	R_ILPR		0x020
#define	R_IBRD		0x024
#define	R_FBRD		0x028
#define	R_LCRH		0x02c
#define	R_CR		0x030
#define	R_IFLS		0x034
#define	R_IMSC		0x038
#define	R_RIS		0x03c
#define	R_MIS		0x040
#define	R_ICR		0x044
#define	R_DMACR		0x048

#define	DR_ERRORS	0xf00U		/* FE, PE, BE, OE of a character */
#define	DR_BE		0x400U
#define	DR_FE		0x100U
#define	DR_OE		0x800U
#define	RSR_MASK	0x0fU		/* the same, without their character */

#define	FR_CTS		0x001U
#define	FR_DSR		0x002U
#define	FR_DCD		0x004U
#define	FR_BUSY		0x008U
#define	FR_RXFE		0x010U
#define	FR_TXFF		0x020U
#define	FR_RXFF		0x040U
#define	FR_TXFE		0x080U
#define	FR_RI		0x100U
#define	FR_MODEM	(FR_CTS | FR_DSR | FR_DCD | FR_RI)

#define	LCRH_BRK	0x01U
#define	LCRH_FEN	0x10U
#define	LCRH_WLEN(l)	(5U + (((l) >> 5) & 3U))

#define	CR_UARTEN	0x0001U
#define	CR_LBE		0x0080U
#define	CR_TXE		0x0100U
#define	CR_RXE		0x0200U
#define	CR_DTR		0x0400U
#define	CR_RTS		0x0800U
#define	CR_OUT1		0x1000U
#define	CR_OUT2		0x2000U
#define	CR_MASK		0xff87U

#define	IFLS_TX(i)	((i) & 7U)
#define	IFLS_RX(i)	(((i) >> 3) & 7U)
#define	IFLS_RESET	0x12U		/* half full, both */

/* Interrupts (TRM 3.3.11): the modem's four, receive, transmit, receive time-out, and the errors at DR_ERRORS >> 1. */
#define	INT_RI		0x001U
#define	INT_CTS		0x002U
#define	INT_DCD		0x004U
#define	INT_DSR		0x008U
#define	INT_RX		0x010U
#define	INT_TX		0x020U
#define	INT_RT		0x040U
#define	INT_MASK	0x7ffU

struct uart {
	struct serial	 port;

	/* state */
	uint16_t	 cr, ibrd, imsc, ris;
	uint8_t		 rsr, ilpr, fbrd, lcrh, ifls, dmacr;
	uint16_t	 modem;		/* FR_MODEM, the inputs */
	bool		 overrun;	/* the next character that comes in follows lost ones */
	uint16_t	 rx[FIFO];	/* oldest first, as they are read from DR */
	uint8_t		 rxlen;
	uint8_t		 tx[FIFO], txlen;
};
CHIP_FIRST(struct uart, port);

static unsigned
fifo_size(const struct uart *u)
{
	return ((u->lcrh & LCRH_FEN) != 0 ? FIFO : 1);
}

/* Characters at a trigger level (TRM 3.3.9): an eighth, a quarter, half, three quarters, seven eighths; the rest is reserved. */
static unsigned
trigger(const struct uart *u, unsigned select)
{
	static const uint8_t levels[8] = { FIFO / 8, FIFO / 4, FIFO / 2, FIFO * 3 / 4, FIFO * 7 / 8, FIFO / 2, FIFO / 2, FIFO / 2 };

	return (levels[select]);
}

/* The receive interrupt is a level (TRM 2.8.3): the FIFO is at its trigger level, or there is a character without FIFOs. */
static bool
rx_due(const struct uart *u)
{
	return (u->rxlen >= ((u->lcrh & LCRH_FEN) != 0 ? trigger(u, IFLS_RX(u->ifls)) : 1));
}

static bool
tx_due(const struct uart *u)
{
	return (u->txlen <= ((u->lcrh & LCRH_FEN) != 0 ? trigger(u, IFLS_TX(u->ifls)) : 0));
}

static bool
uart_level(const void *soft)
{
	const struct uart *u = soft;

	return ((u->ris & u->imsc) != 0);
}

static uint16_t
flags(const struct uart *u)
{
	uint16_t fr = u->modem;

	if (u->rxlen == 0)
		fr |= FR_RXFE;
	if (u->rxlen == fifo_size(u))
		fr |= FR_RXFF;
	if (u->txlen == 0)
		fr |= FR_TXFE;
	else
		fr |= FR_BUSY;
	if (u->txlen == fifo_size(u))
		fr |= FR_TXFF;
	return (fr);
}

/* 32 bit periods (TRM 2.8.5), each 16 times the divisor of UARTCLK, which counts in 64ths. */
static uint64_t
uart_timeout(const void *soft)
{
	const struct uart *u = soft;
	uint64_t divisor = (uint64_t)u->ibrd << 6 | u->fbrd;

	if (u->rxlen == 0 || (u->ris & INT_RT) != 0)
		return (0);
	return (32 * 16 * (divisor != 0 ? divisor : 64) * SERIAL_HZ / 64 / CLOCK_HZ);
}

/* A character arrives at the receiver, with DR_ERRORS. */
static void
receive(struct uart *u, uint16_t ch)
{
	if (u->rxlen == fifo_size(u)) {
		/* The FIFO keeps what it has, what is in the shift register is lost (TRM 3.3.1, OE). */
		u->overrun = true;
		u->rsr |= DR_OE >> 8;
		u->ris |= DR_OE >> 1;
		return;
	}
	if (u->overrun)
		ch |= DR_OE;
	u->overrun = false;
	u->rx[u->rxlen++] = ch;
	u->ris |= (ch & DR_ERRORS) >> 1;
	if (rx_due(u))
		u->ris |= INT_RX;
	serial_restart_timeout(&u->port);
}

static void
uart_receive(void *soft, uint8_t byte)
{
	receive(soft, byte);
}

static bool
uart_tx_due(const void *soft)
{
	return (tx_due(soft));
}

/* It is raised when the FIFO falls to its trigger level (TRM 2.8.4), not by being empty. */
static void
uart_tx_drained(void *soft)
{
	((struct uart *)soft)->ris |= INT_TX;
}

/* In loop-back the serial input is disconnected (TRM 3.3.8, LBE). */
static unsigned
uart_rx_room(const void *soft)
{
	const struct uart *u = soft;

	return ((u->cr & (CR_UARTEN | CR_RXE | CR_LBE)) == (CR_UARTEN | CR_RXE) ? fifo_size(u) - u->rxlen : 0);
}

static void
uart_expire(void *soft)
{
	struct uart *u = soft;

	if (u->rxlen != 0)
		u->ris |= INT_RT;
}

/* Modem inputs: a cable that is plugged in, or in loop-back the outputs (TRM 3.3.8, LBE).  A change interrupts. */
static void
update_modem(struct uart *u)
{
	uint16_t in = FR_CTS | FR_DSR | FR_DCD, changed;

	if ((u->cr & CR_LBE) != 0) {
		in = (u->cr & CR_RTS) != 0 ? FR_CTS : 0;
		in |= (u->cr & CR_DTR) != 0 ? FR_DSR : 0;
		in |= (u->cr & CR_OUT1) != 0 ? FR_DCD : 0;
		in |= (u->cr & CR_OUT2) != 0 ? FR_RI : 0;
	}
	changed = u->modem ^ in;
	u->modem = in;
	u->ris |= (changed & FR_CTS) != 0 ? INT_CTS : 0;
	u->ris |= (changed & FR_DSR) != 0 ? INT_DSR : 0;
	u->ris |= (changed & FR_DCD) != 0 ? INT_DCD : 0;
	u->ris |= (changed & FR_RI) != 0 ? INT_RI : 0;
}

static uint16_t
read_dr(struct uart *u)
{
	uint16_t ch = u->rx[0];

	if (u->rxlen == 0)
		return (0);
	u->rxlen--;
	memmove(u->rx, u->rx + 1, u->rxlen * sizeof(u->rx[0]));
	/* An overrun stays until it is cleared (TRM 3.3.2). */
	u->rsr = (uint8_t)((u->rsr & DR_OE >> 8) | (ch & DR_ERRORS) >> 8);
	if (!rx_due(u))
		u->ris &= (uint16_t)~INT_RX;
	if (u->rxlen == 0)
		u->ris &= (uint16_t)~INT_RT;
	serial_restart_timeout(&u->port);
	serial_exchange(&u->port);
	return (ch);
}

static void
write_dr(struct uart *u, uint8_t ch)
{
	if ((u->cr & CR_LBE) != 0) {
		receive(u, ch & (0xffU >> (8 - LCRH_WLEN(u->lcrh))));
		u->ris |= INT_TX;
		return;
	}
	if (u->txlen == fifo_size(u))
		return;			/* who writes to a full FIFO loses the character */
	u->tx[u->txlen++] = ch;
	if ((u->lcrh & LCRH_FEN) == 0 || !tx_due(u))
		u->ris &= (uint16_t)~INT_TX;
	serial_exchange(&u->port);
	/* Without FIFOs, or at a level that one character does not exceed, each that is sent interrupts. */
	if (tx_due(u))
		u->ris |= INT_TX;
}

/* A break that loops back arrives as a zero with BE, and without its stop bit.  FIFOs that are switched keep nothing. */
static void
write_lcrh(struct uart *u, uint8_t val)
{
	uint8_t old = u->lcrh;

	u->lcrh = val;
	if (((old ^ val) & LCRH_FEN) != 0) {
		u->rxlen = u->txlen = 0;
		u->ris &= (uint16_t)~(INT_RX | INT_RT);
	}
	if ((u->cr & CR_LBE) != 0 && (old & LCRH_BRK) == 0 && (val & LCRH_BRK) != 0)
		receive(u, DR_BE | DR_FE);
	serial_restart_timeout(&u->port);
	serial_exchange(&u->port);
}

static uint32_t
uart_read(void *soft, uint64_t reg)
{
	struct uart *u = soft;

	switch (reg) {
	case R_DR:
		return (read_dr(u));
	case R_RSR:
		return (u->rsr);
	case R_FR:
		return (flags(u));
	case R_ILPR:
		return (u->ilpr);
	case R_IBRD:
		return (u->ibrd);
	case R_FBRD:
		return (u->fbrd);
	case R_LCRH:
		return (u->lcrh);
	case R_CR:
		return (u->cr);
	case R_IFLS:
		return (u->ifls);
	case R_IMSC:
		return (u->imsc);
	case R_RIS:
		return (u->ris);
	case R_MIS:
		return (u->ris & u->imsc);
	case R_DMACR:
		return (u->dmacr);
	default:
		return (reg >= PRIMECELL_ID ? primecell_id(PART, REVISION, reg) : 0);
	}
}

static void
uart_write(void *soft, uint64_t reg, uint32_t val)
{
	struct uart *u = soft;

	switch (reg) {
	case R_DR:
		write_dr(u, (uint8_t)val);
		break;
	case R_RSR:			/* any value clears the errors (TRM 3.3.2) */
		u->rsr = 0;
		break;
	case R_ILPR:
		u->ilpr = (uint8_t)val;
		break;
	case R_IBRD:
		u->ibrd = (uint16_t)val;
		break;
	case R_FBRD:
		u->fbrd = val & 0x3f;
		break;
	case R_LCRH:
		write_lcrh(u, (uint8_t)val);
		break;
	case R_CR:
		u->cr = val & CR_MASK;
		update_modem(u);
		serial_exchange(&u->port);
		break;
	case R_IFLS:
		u->ifls = val & 0x3f;
		break;
	case R_IMSC:
		u->imsc = val & INT_MASK;
		break;
	case R_ICR:
		u->ris &= (uint16_t)~val;
		serial_restart_timeout(&u->port);
		break;
	case R_DMACR:
		u->dmacr = val & 7;
		break;
	}
}

/* TRM table 3-1, reset values. */
static void
uart_reset(void *soft)
{
	struct uart *u = soft;

	u->cr = CR_TXE | CR_RXE;
	u->ibrd = u->imsc = 0;
	u->rsr = u->ilpr = u->fbrd = u->lcrh = u->dmacr = 0;
	u->ifls = IFLS_RESET;
	u->overrun = false;
	u->rxlen = u->txlen = 0;
	update_modem(u);
	u->ris = 0;
}

static void
uart_describe(struct device *dev, struct device_description *desc)
{
	desc->compatible = "arm,pl011 arm,primecell";
	desc->hid = "ARMH0011";
	desc->node = "serial";
	desc->clock_hz = CLOCK_HZ;
	desc->clocks = "uartclk apb_pclk";
}

/* What no PL011 can be in. */
static int
uart_check(void *obj)
{
	const struct uart *u = obj;
	unsigned size = fifo_size(u);

	if (u->rxlen > size || u->txlen > size)
		return (vm_state_complain("%u and %u characters in FIFOs of %u", u->rxlen, u->txlen, size));
	if ((u->cr & ~CR_MASK) != 0 || ((u->imsc | u->ris) & ~INT_MASK) != 0 || (u->rsr & ~RSR_MASK) != 0 || u->fbrd > 0x3f ||
	    u->ifls > 0x3f || u->dmacr > 7 || (u->modem & ~FR_MODEM) != 0)
		return (vm_state_complain("a register has bits that do not exist"));
	for (unsigned i = 0; i < FIFO; i++) {
		if ((u->rx[i] & ~(DR_ERRORS | 0xffU)) != 0)
			return (vm_state_complain("a received character has errors that do not exist"));
	}
	return (0);
}

static const struct config_key keys[] = {
	SERIAL_KEYS,
};

static const struct vm_state_field fields[] = {
	VM_STATE_U16(struct uart, cr), VM_STATE_U16(struct uart, ibrd), VM_STATE_U16(struct uart, imsc),
	VM_STATE_U16(struct uart, ris), VM_STATE_U8(struct uart, rsr), VM_STATE_U8(struct uart, ilpr),
	VM_STATE_U8(struct uart, fbrd), VM_STATE_U8(struct uart, lcrh), VM_STATE_U8(struct uart, ifls),
	VM_STATE_U8(struct uart, dmacr), VM_STATE_U16(struct uart, modem), VM_STATE_BOOL(struct uart, overrun),
	VM_STATE_U16S(struct uart, rx), VM_STATE_U8(struct uart, rxlen),
	VM_STATE_BYTES(struct uart, tx), VM_STATE_U8(struct uart, txlen),
};

static const struct vm_state_table state = VM_STATE_TABLE("pl011", 1, 1, fields, uart_check);

static const struct serial_ops ops = {
	.chip = {
		SERIAL_CHIP, .bus = CHIP_WORDS, .reset = uart_reset, .level = uart_level, .expire = uart_expire, .read = uart_read,
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

DEVICE_CLASS(pl011, "pl011", "PrimeCell serial port", keys, &state,
    .on = DEVICE_ON_MMIO,
    .range_len = PRIMECELL_LEN,
    .nirqs = 1,
    .size = sizeof(struct uart),
    .init = uart_init,
    SERIAL_LIFE,
    .describe = uart_describe);
