/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ne2k_pci.c - an NE2000 on PCI, as the RTL8029 is one (National DP8390D data sheet, "8390"; Realtek RTL8029AS data sheet, "8029").
 *
 * Everything goes through 32 ports: registers of the 8390 in three pages, and a port by which the processor moves bytes to and from the
 * card's memory (remote DMA).  The card's memory has the address PROM below and 16 KiB at 0x4000, where the driver sets aside pages of 256
 * bytes for a ring of received frames.
 *
 * Frames are sent on the control thread, where the back ends live.  A transmit command is done when its frame is in a queue for that; only
 * with a full queue it stays under way, as not every driver looks whether the last one is.
 * A frame that finds no room in the ring is refused until the driver moves the boundary.  Frames for a receiver that is stopped are dropped.
 *
 * n->lock guards everything but what the control thread sends.
 */
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "../pci/rom.h"
#include "net.h"

#define	PORTS		32U
#define	DATA_PORT	0x10U		/* to 0x17: remote DMA */
#define	RESET_PORT	0x18U		/* to 0x1f: a read resets */

#define	PROM_LEN	32U
#define	RAM_BASE	0x4000U
#define	RAM_LEN		0x4000U
#define	PAGE		256U
#define	FRAME_MIN	60U		/* bytes, without a checksum */
#define	FRAME_MAX	1518U		/* the same with a VLAN tag */
#define	RING_HEADER	4U
#define	CRC		4U		/* counted, not there */

/* Command register (8390 10.3), in every page at 0. */
#define	CR_STP		0x01U
#define	CR_TXP		0x04U
#define	CR_READ		0x08U
#define	CR_WRITE	0x10U
#define	CR_SEND		0x18U		/* read the next frame */
#define	CR_COMPLETE	0x20U
#define	CR_RD		0x38U
#define	CR_PAGE(cr)	((cr) >> 6)

/* Interrupt status and mask */
#define	ISR_PRX		0x01U
#define	ISR_PTX		0x02U
#define	ISR_RDC		0x40U
#define	ISR_RST		0x80U
#define	ISR_SOURCES	0x7fU

#define	DCR_WTS		0x01U		/* remote DMA by words */
#define	TCR_LOOPBACK	0x06U
#define	TSR_PTX		0x01U
#define	RCR_AB		0x04U		/* broadcasts */
#define	RCR_AM		0x08U		/* multicasts, by hash */
#define	RCR_PRO		0x10U		/* everything for a station */
#define	RCR_MON		0x20U		/* nothing is kept */
#define	RSR_PRX		0x01U
#define	RSR_PHY		0x20U		/* of a group */

/* Registers of page 0, by reading and by writing, and of page 1. */
enum {
	R0_PSTART = 1, R0_PSTOP, R0_BNRY, R0_TPSR, R0_TBCR0, R0_TBCR1, R0_ISR, R0_RSAR0, R0_RSAR1, R0_RBCR0, R0_RBCR1, R0_RCR, R0_TCR,
	R0_DCR, R0_IMR,
	R0_TSR = 4, R0_ID0 = 10, R0_ID1, R0_RSR,
	R1_PAR = 1, R1_CURR = 7, R1_MAR = 8,
};

#define	QUEUE		16U		/* frames to be sent */

struct ne2k {
	struct pci_fn	 fn;
	struct device	*dev;
	struct net	*net;
	struct event	*kick;		/* the control thread: there is something to send, or room */
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */
	bool		 waiting;	/* a frame was refused: the back end wants to know of room */
	bool		 refused;	/* by the back end, which will call; control thread's */
	bool		 moved;		/* the boundary, since it was last said that the driver has left frames */
	/* Frames from head on; the first is the control thread's while it sends.  What is left at a pause is lost. */
	unsigned	 head, queued;
	struct {
		unsigned len;
		uint8_t	 data[FRAME_MAX];
	} out[QUEUE];
	/* state */
	uint8_t		 cr, isr, imr, dcr, tcr, rcr, tsr, rsr;
	uint8_t		 pstart, pstop, bnry, curr, tpsr;
	uint16_t	 tbcr, rsar, rbcr;
	uint8_t		 par[NET_ADDRLEN], mar[8];
	uint8_t		 ram[RAM_LEN];
};

/* The interrupt pin follows.  Lock held. */
static void
update(struct ne2k *n)
{
	pci_intx(&n->fn, n->active && (n->isr & n->imr & ISR_SOURCES) != 0);
}

/* The card's memory, a byte at a time */

static uint8_t
load(const struct ne2k *n, unsigned addr)
{
	/* Each byte twice, as 16-bit cards have it; 'W' says that it is one (8029 6.2). */
	if (addr < PROM_LEN)
		return (addr / 2 < NET_ADDRLEN ? n->net->mac[addr / 2] : addr / 2 >= 14 ? 0x57 : 0);
	return (addr - RAM_BASE < RAM_LEN ? n->ram[addr - RAM_BASE] : 0xff);
}

static void
store(struct ne2k *n, unsigned addr, uint8_t v)
{
	if (addr - RAM_BASE < RAM_LEN)
		n->ram[addr - RAM_BASE] = v;
}

/* Remote DMA (8390 section 12): the next byte's address, which wraps with the ring. */
static unsigned
dma_next(struct ne2k *n)
{
	unsigned addr = n->rsar++;

	if (n->rsar == n->pstop * PAGE)
		n->rsar = (uint16_t)(n->pstart * PAGE);
	if (--n->rbcr == 0)
		n->isr |= ISR_RDC;
	return (addr);
}

/* Of a size that the data port has; a card in byte mode moves one byte by each. */
static unsigned
dma_bytes(const struct ne2k *n, unsigned size, unsigned command)
{
	if ((n->cr & CR_RD) != command && !(command == CR_READ && (n->cr & CR_RD) == CR_SEND))
		return (0);
	size = (n->dcr & DCR_WTS) != 0 ? size : 1;
	return (size < n->rbcr ? size : n->rbcr);
}

static uint64_t
data_read(struct ne2k *n, unsigned size)
{
	unsigned bytes = dma_bytes(n, size, CR_READ);
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)load(n, dma_next(n)) << (8 * i);
	return (v);
}

static void
data_write(struct ne2k *n, unsigned size, uint64_t v)
{
	unsigned bytes = dma_bytes(n, size, CR_WRITE);

	for (unsigned i = 0; i < bytes; i++)
		store(n, dma_next(n), (uint8_t)(v >> (8 * i)));
}

/* Receive */

/* Bit of the hash table (8390 section 8): the upper six of the checksum that the address would have. */
static unsigned
hash(const uint8_t *addr)
{
	uint32_t crc = UINT32_MAX;

	for (unsigned i = 0; i < NET_ADDRLEN; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bool carry = (crc >> 31 ^ (addr[i] >> bit & 1)) != 0;

			crc = crc << 1 ^ (carry ? 0x04c11db7U : 0);
		}
	}
	return (crc >> 26);
}

static bool
wanted(const struct ne2k *n, const uint8_t *dst)
{
	unsigned bit;

	if (net_broadcast(dst))
		return ((n->rcr & RCR_AB) != 0);
	if ((dst[0] & 1) == 0)
		return ((n->rcr & RCR_PRO) != 0 || memcmp(dst, n->par, NET_ADDRLEN) == 0);
	bit = hash(dst);
	return ((n->rcr & RCR_AM) != 0 && (n->mar[bit / 8] & 1U << bit % 8) != 0);
}

/* Is there a ring, and is it within the memory? */
static bool
has_ring(const struct ne2k *n)
{
	return (n->pstart < n->pstop && n->pstart >= RAM_BASE / PAGE && n->pstop <= (RAM_BASE + RAM_LEN) / PAGE &&
	    n->curr >= n->pstart && n->curr < n->pstop);
}

/*
 * The page that the chip must not reach (8390 section 7).  Linux writes the one ahead of the next frame's, also where that is the ring's
 * first: the chip only compares, and would reach none.  Here it is the ring's last.  Any other outside of the ring stops nothing.
 */
static unsigned
boundary(const struct ne2k *n)
{
	if (n->bnry >= n->pstart && n->bnry < n->pstop)
		return (n->bnry);
	return (n->bnry + 1U == n->pstart ? n->pstop - 1U : n->curr);
}

/* Whether the driver has left frames in the ring: the boundary is at the page ahead of the next one, or with some drivers at that. */
static bool
has_frames(const struct ne2k *n)
{
	unsigned bnry = boundary(n);

	return (has_ring(n) && n->curr != bnry && n->curr != (bnry + 1 == n->pstop ? n->pstart : bnry + 1));
}

static void
put(struct ne2k *n, unsigned *addr, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		store(n, *addr, p != NULL ? p[i] : 0);
		if (++*addr == n->pstop * PAGE)
			*addr = n->pstart * PAGE;
	}
}

/* Lock held.  false: there is no room now. */
static bool
receive_locked(struct ne2k *n, const struct net_frame *f)
{
	unsigned size, need, room, bnry, addr, next, len = (unsigned)(f->len < FRAME_MIN ? FRAME_MIN : f->len);
	const uint8_t *dst = f->iov[0].iov_base;
	uint8_t head[RING_HEADER];

	/* Started is what is not stopped: STA alone starts nothing and ends nothing (8390 10.3). */
	if (!n->active || (n->cr & CR_STP) != 0 || (n->tcr & TCR_LOOPBACK) != 0 || (n->rcr & RCR_MON) != 0 ||
	    f->len > FRAME_MAX || f->iov[0].iov_len < NET_ADDRLEN || !has_ring(n) || !wanted(n, dst))
		return (true);
	size = (unsigned)(n->pstop - n->pstart);
	need = (RING_HEADER + len + CRC + PAGE - 1) / PAGE;
	/* Full is one page less than all, so that it is not taken for empty. */
	bnry = boundary(n);
	room = bnry > n->curr ? bnry - n->curr : size - (n->curr - bnry);
	if (need >= size)
		return (true);
	if (need >= room)
		return (false);
	next = n->curr + need;
	if (next >= n->pstop)
		next -= size;
	n->rsr = (uint8_t)(RSR_PRX | ((dst[0] & 1) != 0 ? RSR_PHY : 0));
	head[0] = n->rsr;
	head[1] = (uint8_t)next;
	head[2] = (uint8_t)(len + CRC);
	head[3] = (uint8_t)((len + CRC) >> 8);
	addr = n->curr * PAGE;
	put(n, &addr, head, sizeof(head));
	for (int i = 0; i < f->niov; i++)
		put(n, &addr, f->iov[i].iov_base, f->iov[i].iov_len);
	put(n, &addr, NULL, len - f->len);
	n->curr = (uint8_t)next;
	n->isr |= ISR_PRX;
	return (true);
}

static bool
ne2k_receive(void *arg, const struct net_frame *f)
{
	struct ne2k *n = arg;
	bool taken;

	pthread_mutex_lock(&n->lock);
	taken = receive_locked(n, f);
	n->waiting |= !taken;
	update(n);
	pthread_mutex_unlock(&n->lock);
	return (taken);
}

/* The interrupt was made with the frame. */
static void
ne2k_flush(void *arg)
{
}

/* Transmit */

/* Queue the frame of a transmit command, which is done then; not if the queue is full.  Lock held. */
static void
queue_frame(struct ne2k *n)
{
	unsigned len = n->tbcr, at = (n->head + n->queued) % QUEUE;

	if (n->queued == QUEUE)
		return;
	/* What is no frame, and what goes round within the chip, is sent to nobody. */
	if ((n->tcr & TCR_LOOPBACK) == 0 && len >= NET_HEADER && len <= FRAME_MAX) {
		for (unsigned i = 0; i < len; i++)
			n->out[at].data[i] = load(n, (n->tpsr * PAGE + i) & 0xffff);
		n->out[at].len = len;
		n->queued++;
		event_timer_arm(n->kick, 0);
	}
	n->cr &= (uint8_t)~CR_TXP;
	n->tsr = TSR_PTX;
	n->isr |= ISR_PTX;
}

/* The first frame was sent, or dropped.  Lock held. */
static void
unqueue(struct ne2k *n)
{
	n->head = (n->head + 1) % QUEUE;
	n->queued--;
	if ((n->cr & CR_TXP) != 0)
		queue_frame(n);
	update(n);
}

/* Control thread. */
static void
transmit(struct ne2k *n)
{
	struct iovec iov;
	struct net_frame f = { .iov = &iov, .niov = 1 };

	n->refused = false;
	pthread_mutex_lock(&n->lock);
	while (n->active && n->queued != 0) {
		iov = (struct iovec){ n->out[n->head].data, n->out[n->head].len };
		f.len = iov.iov_len;
		pthread_mutex_unlock(&n->lock);
		n->refused = !net_send(n->net, &f);
		pthread_mutex_lock(&n->lock);
		if (n->refused)
			break;
		unqueue(n);
	}
	pthread_mutex_unlock(&n->lock);
	net_flush(n->net);
}

/* Control thread. */
static void
kicked(void *arg)
{
	struct ne2k *n = arg;
	bool waiting;

	pthread_mutex_lock(&n->lock);
	waiting = n->waiting;
	n->waiting = false;
	pthread_mutex_unlock(&n->lock);
	if (waiting)
		net_ready(n->net);
	if (!n->refused)
		transmit(n);
}

static void
ne2k_writable(void *arg)
{
	transmit(arg);
}

static const struct net_nic nic = { .receive = ne2k_receive, .flush = ne2k_flush, .writable = ne2k_writable };

/* Registers.  Lock held. */

static void
stop(struct ne2k *n)
{
	n->cr = CR_STP | CR_COMPLETE;
	n->isr |= ISR_RST;
	n->rbcr = 0;
}

static void
command(struct ne2k *n, uint8_t v)
{
	/* What waits for the queue ends by itself. */
	n->cr = (uint8_t)((v & ~CR_TXP) | (n->cr & CR_TXP));
	if ((v & CR_STP) != 0) {
		n->cr &= (uint8_t)~CR_TXP;
		n->isr |= ISR_RST;
		return;
	}
	n->isr &= (uint8_t)~ISR_RST;
	if ((v & CR_RD) == CR_SEND) {
		n->rsar = (uint16_t)(n->bnry * PAGE);
		n->rbcr = (uint16_t)(load(n, n->bnry * PAGE + 2U) | load(n, n->bnry * PAGE + 3U) << 8);
	}
	if (((v & CR_RD) == CR_READ || (v & CR_RD) == CR_WRITE) && n->rbcr == 0)
		n->isr |= ISR_RDC;
	if ((v & CR_TXP) != 0 && (n->cr & CR_TXP) == 0) {
		n->cr |= CR_TXP;
		n->tsr = 0;
		queue_frame(n);
	}
}

static void
set_low(uint16_t *reg, uint8_t v)
{
	*reg = (uint16_t)((*reg & 0xff00) | v);
}

static void
set_high(uint16_t *reg, uint8_t v)
{
	*reg = (uint16_t)((*reg & 0xff) | v << 8);
}

/*
 * Linux takes ten frames at a time and then acknowledges all.  On a wire the next frame would say once more that there are some, or that
 * the ring is full; here none comes while the ring is full.  So it is said again if the driver has taken frames and left others.
 */
static void
acknowledge(struct ne2k *n, uint8_t v)
{
	n->isr &= (uint8_t)~v;
	if ((v & ISR_PRX) != 0 && n->moved && has_frames(n)) {
		n->isr |= ISR_PRX;
		n->moved = false;
	}
}

static void
write_page0(struct ne2k *n, unsigned reg, uint8_t v)
{
	switch (reg) {
	case R0_PSTART: n->pstart = v; break;
	case R0_PSTOP: n->pstop = v; break;
	case R0_BNRY:
		n->moved |= n->bnry != v;
		n->bnry = v;
		if (n->waiting)
			event_timer_arm(n->kick, 0);
		break;
	case R0_TPSR: n->tpsr = v; break;
	case R0_TBCR0: set_low(&n->tbcr, v); break;
	case R0_TBCR1: set_high(&n->tbcr, v); break;
	case R0_ISR: acknowledge(n, v & ISR_SOURCES); break;
	case R0_RSAR0: set_low(&n->rsar, v); break;
	case R0_RSAR1: set_high(&n->rsar, v); break;
	case R0_RBCR0: set_low(&n->rbcr, v); break;
	case R0_RBCR1: set_high(&n->rbcr, v); break;
	case R0_RCR: n->rcr = v; break;
	case R0_TCR: n->tcr = v; break;
	case R0_DCR: n->dcr = v; break;
	case R0_IMR: n->imr = v; break;
	default: break;
	}
}

static uint8_t
read_page0(const struct ne2k *n, unsigned reg)
{
	switch (reg) {
	case R0_PSTART:			/* CLDA: where received bytes go */
	case R0_PSTOP:
		return (reg == R0_PSTART ? 0 : n->curr);
	case R0_BNRY: return (n->bnry);
	case R0_TSR: return (n->tsr);
	case R0_ISR: return (n->isr);
	case R0_RSAR0: return ((uint8_t)n->rsar);
	case R0_RSAR1: return ((uint8_t)(n->rsar >> 8));
	case R0_ID0: return ('P');	/* 8029 6.1.1 */
	case R0_ID1: return ('C');
	case R0_RSR: return (n->rsr);
	default: return (0);		/* collisions, the FIFO, counters of errors */
	}
}

static void
write_reg(struct ne2k *n, unsigned reg, uint8_t v)
{
	unsigned page = CR_PAGE(n->cr);

	if (reg == 0)
		command(n, v);
	else if (page == 0)
		write_page0(n, reg, v);
	else if (page == 1 && reg < R1_CURR)
		n->par[reg - R1_PAR] = v;
	else if (page == 1 && reg == R1_CURR)
		n->curr = v;
	else if (page == 1)
		n->mar[reg - R1_MAR] = v;
}

static uint8_t
read_reg(const struct ne2k *n, unsigned reg)
{
	if (reg == 0)
		return (n->cr);
	switch (CR_PAGE(n->cr)) {
	case 0:
		return (read_page0(n, reg));
	case 1:
		return (reg < R1_CURR ? n->par[reg - R1_PAR] : reg == R1_CURR ? n->curr : n->mar[reg - R1_MAR]);
	case 2:
		return (reg == R0_PSTART ? n->pstart : reg == R0_PSTOP ? n->pstop : reg == R0_TPSR ? n->tpsr : reg == R0_RCR ? n->rcr :
		    reg == R0_TCR ? n->tcr : reg == R0_DCR ? n->dcr : reg == R0_IMR ? n->imr : 0);
	default:
		return (0);		/* the 8029's: its EEPROM and what that has set */
	}
}

/* vCPU's thread. */
static uint64_t
port_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct ne2k *n = arg;
	uint64_t v = 0;

	pthread_mutex_lock(&n->lock);
	if (off >= RESET_PORT) {
		stop(n);
	} else if (off >= DATA_PORT) {
		v = data_read(n, size);
	} else {
		for (unsigned i = 0; i < size && off + i < DATA_PORT; i++)
			v |= (uint64_t)read_reg(n, (unsigned)off + i) << (8 * i);
	}
	update(n);
	pthread_mutex_unlock(&n->lock);
	return (v);
}

static void
port_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct ne2k *n = arg;

	pthread_mutex_lock(&n->lock);
	if (off >= DATA_PORT && off < RESET_PORT) {
		data_write(n, size, val);
	} else {
		for (unsigned i = 0; i < size && off + i < DATA_PORT; i++)
			write_reg(n, (unsigned)off + i, (uint8_t)(val >> (8 * i)));
	}
	update(n);
	pthread_mutex_unlock(&n->lock);
}

static const struct pci_bar_ops port_ops = { .read = port_read, .write = port_write };

/* Life */

static void
ne2k_fini(struct device *dev)
{
	struct ne2k *n = dev->soft;

	pci_fini(&n->fn);
	event_remove(n->kick);
	net_close(n->net);
	pthread_mutex_destroy(&n->lock);
}

static int
ne2k_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = 0x10ec, .device = 0x8029, .subvendor = 0x10ec, .subdevice = 0x8029, .class_code = 0x020000, .intx = true,
	};
	struct ne2k *n = dev->soft;
	const char *rom = config_str(dev->config, "rom");
	int error;

	n->dev = dev;
	n->net = net_open(dev, &nic, n);
	if (n->net == NULL)
		return (-1);
	pthread_mutex_init(&n->lock, NULL);
	n->kick = event_timer_add(dev->vmm->loop, kicked, n);
	if (n->kick == NULL || pci_init(&n->fn, dev, &ident, NULL) != 0) {
		error = n->kick != NULL ? errno : ENOMEM;
		event_remove(n->kick);
		net_close(n->net);
		pthread_mutex_destroy(&n->lock);
		errno = error;
		return (-1);
	}
	if (pci_add_bar(&n->fn, 0, PCI_BAR_IO, PORTS, &port_ops, n) != 0 || (rom != NULL && pci_add_rom(&n->fn, rom) != 0)) {
		error = errno;
		ne2k_fini(dev);
		errno = error;
		return (-1);
	}
	return (0);
}

static void
ne2k_reset(struct device *dev)
{
	struct ne2k *n = dev->soft;

	pci_reset(&n->fn);
	pthread_mutex_lock(&n->lock);
	n->isr = n->imr = n->dcr = n->tcr = n->rcr = n->tsr = n->rsr = 0;
	n->pstart = n->pstop = n->bnry = n->curr = n->tpsr = 0;
	n->tbcr = n->rsar = 0;
	memcpy(n->par, n->net->mac, sizeof(n->par));
	memset(n->mar, 0, sizeof(n->mar));
	memset(n->ram, 0, sizeof(n->ram));
	n->queued = 0;
	stop(n);
	update(n);
	pthread_mutex_unlock(&n->lock);
}

/* Control thread, so nothing is under way; a command that waits is the state's, and done after the resume. */
static void
ne2k_pause(struct device *dev)
{
	struct ne2k *n = dev->soft;

	net_stop(n->net);
	pthread_mutex_lock(&n->lock);
	n->active = false;
	n->queued = 0;
	pthread_mutex_unlock(&n->lock);
	event_timer_disarm(n->kick);
	n->refused = false;
	pci_pause(&n->fn);
}

static void
ne2k_resume(struct device *dev)
{
	struct ne2k *n = dev->soft;

	pci_resume(&n->fn);
	pthread_mutex_lock(&n->lock);
	n->active = true;
	n->waiting = true;		/* looked at again in any case */
	n->moved = true;
	if ((n->cr & CR_TXP) != 0)
		queue_frame(n);
	update(n);
	pthread_mutex_unlock(&n->lock);
	net_start(n->net);
	event_timer_arm(n->kick, 0);
}

static const struct config_key keys[] = { NET_KEYS, DEVICE_BOOT_KEY };

static const struct vm_state_field fields[] = {
	PCI_STATE(struct ne2k), VM_STATE_U8(struct ne2k, cr), VM_STATE_U8(struct ne2k, isr), VM_STATE_U8(struct ne2k, imr),
	VM_STATE_U8(struct ne2k, dcr), VM_STATE_U8(struct ne2k, tcr), VM_STATE_U8(struct ne2k, rcr), VM_STATE_U8(struct ne2k, tsr),
	VM_STATE_U8(struct ne2k, rsr), VM_STATE_U8(struct ne2k, pstart), VM_STATE_U8(struct ne2k, pstop), VM_STATE_U8(struct ne2k, bnry),
	VM_STATE_U8(struct ne2k, curr), VM_STATE_U8(struct ne2k, tpsr), VM_STATE_U16(struct ne2k, tbcr), VM_STATE_U16(struct ne2k, rsar),
	VM_STATE_U16(struct ne2k, rbcr), VM_STATE_BYTES(struct ne2k, par), VM_STATE_BYTES(struct ne2k, mar),
	VM_STATE_BYTES(struct ne2k, ram),
};

static const struct vm_state_table state = VM_STATE_TABLE("ne2k-pci", 1, 1, fields, NULL);

DEVICE_CLASS(ne2k_pci, "ne2k-pci", "NE2000 network card for PCI (RTL8029), which old systems know", keys, &state,
    .on = DEVICE_ON_PCI,
    .boot = "ethernet/ethernet-phy@0",
    .size = sizeof(struct ne2k),
    .init = ne2k_init,
    .fini = ne2k_fini,
    .reset = ne2k_reset,
    .pause = ne2k_pause,
    .resume = ne2k_resume);
