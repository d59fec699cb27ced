/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_driver.h - what a driver of the gigabit controller does: registers, rings, descriptors of both directions.
 */
#ifndef _E1000_DRIVER_H_
#define	_E1000_DRIVER_H_

#include "net_wire.h"
#include "pci_fixture.h"

#define	SLOT	PCI_DEVFN(3, 0)
#define	BASE	0xc0000000U
#define	PORT	0x6000U

#define	CTRL	0x0000U
#define	STATUS	0x0008U
#define	EECD	0x0010U
#define	EERD	0x0014U
#define	MDIC	0x0020U
#define	ICR	0x00c0U
#define	ITR	0x00c4U
#define	ICS	0x00c8U
#define	IMS	0x00d0U
#define	IMC	0x00d8U
#define	RCTL	0x0100U
#define	TCTL	0x0400U
#define	RDBAL	0x2800U
#define	RDT	0x2818U
#define	TDBAL	0x3800U
#define	TDT	0x3818U
#define	STAT(n)	(0x4000U + 4 * (n))
#define	RXCSUM	0x5000U
#define	MTA(n)	(0x5200U + 4 * (n))
#define	RA(n)	(0x5400U + 4 * (n))
#define	VFTA(n)	(0x5600U + 4 * (n))

#define	SLU	0x40U
#define	VME	0x40000000U
#define	RST	0x04000000U
#define	RFCE	0x08000000U
#define	TXDW	0x01U
#define	TXQE	0x02U
#define	LSC	0x04U
#define	RXDMT0	0x10U
#define	RXT0	0x80U
#define	MDAC	0x200U
#define	RX_EN	0x02U
#define	UPE	0x08U
#define	MPE	0x10U
#define	LPE	0x20U
#define	BAM	0x8000U
#define	SECRC	0x4000000U

#define	EOP	0x01000000ULL
#define	IFCS	0x02000000ULL
#define	IC	0x04000000ULL
#define	TSE	0x04000000ULL
#define	RS	0x08000000ULL
#define	DEXT	0x20000000ULL
#define	VLE	0x40000000ULL
#define	DATA	(DEXT | 1U << 20)
#define	DD	(1ULL << 32)
#define	ONE	(EOP | IFCS | RS)

#define	RING	16U
#define	TX_RING	0x10000U
#define	RX_RING	0x20000U
#define	TX_BUF	0x100000U
#define	RX_BUF	0x200000U
#define	BUF	2048U

static const uint8_t mac[6] = { 2, 0, 0x5e, 0x10, 0x20, 0x30 };

static struct fx fx, *cur = &fx;	/* cur: whose registers are used */
static struct pci_host *host;
static struct device *dev;
static unsigned tx_tail, rx_head;	/* as the driver knows them */

static inline uint32_t
r(unsigned reg)
{
	return ((uint32_t)fx_read(cur, VM_SPACE_MEM, BASE + reg, 4));
}

static inline void
w(unsigned reg, uint32_t val)
{
	fx_write(cur, VM_SPACE_MEM, BASE + reg, 4, val);
}

static inline void
make(struct fx *f, struct pci_host **h, const char *more)
{
	char keys[256];

	fx_open(f);
	*h = px_host(f);
	(void)snprintf(keys, sizeof(keys), "net.backend=wire\nnet.mac=02:00:5e:10:20:30\n%s", more);
	dev = px_make_with(f, *h, "e1000", "net", SLOT, f->irq, keys);
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	devices_resume(&f->vmm);
	fx_turn(f);
}

static inline void
unmake(struct fx *f, struct pci_host *h)
{
	devices_destroy(&f->vmm);
	CHECK(wire.closed);
	pci_host_free(h);
	fx_close(f);
}

static inline void
gpa_write(uint64_t gpa, const void *p, size_t len)
{
	CHECK_EQ(vm_gpa_write(cur->vmm.vm, gpa, p, len), 0);
}

static inline void
gpa_read(uint64_t gpa, void *p, size_t len)
{
	CHECK_EQ(vm_gpa_read(cur->vmm.vm, gpa, p, len), 0);
}

/* Rings, buffers, and everything on. */
static inline void
start(uint32_t rctl)
{
	uint64_t d[2] = { 0 };

	cfg_port_w(cur, SLOT, R_BAR(0), 4, BASE);
	cfg_port_w(cur, SLOT, R_BAR(2), 4, PORT);
	cfg_port_w(cur, SLOT, R_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
	w(CTRL, RST);
	w(CTRL, SLU);
	for (unsigned i = 0; i < RING; i++) {
		d[0] = RX_BUF + i * BUF;
		gpa_write(RX_RING + 16 * i, d, 16);
	}
	w(TDBAL, TX_RING);
	w(TDBAL + 8, RING * 16);
	w(RDBAL, RX_RING);
	w(RDBAL + 8, RING * 16);
	w(RDT, RING - 1);
	w(IMS, TXDW | LSC | RXT0);
	w(TCTL, 2);
	w(RCTL, rctl);
	(void)r(ICR);
	tx_tail = rx_head = 0;
	fx_turn(cur);
}

static inline void
setup(uint32_t rctl)
{
	make(cur, &host, "");
	start(rctl);
}

/* Put a descriptor into the transmit ring; tx_go() tells. */
static inline void
tx_desc(uint64_t addr, uint64_t rest)
{
	uint64_t d[2] = { addr, rest };

	gpa_write(TX_RING + 16 * tx_tail, d, 16);
	tx_tail = (tx_tail + 1) % RING;
}

static inline void
tx_go(void)
{
	w(TDT, tx_tail);
	fx_turn(cur);
}

/* The second half of the n-th transmit descriptor. */
static inline uint64_t
tx_rest(unsigned n)
{
	uint64_t v;

	gpa_read(TX_RING + 16 * n + 8, &v, 8);
	return (v);
}

/* A frame by one legacy descriptor. */
static inline void
tx_frame(const void *p, unsigned len, uint64_t more)
{
	gpa_write(TX_BUF + tx_tail * BUF, p, len);
	tx_desc(TX_BUF + tx_tail * BUF, len | ONE | more);
	tx_go();
}

/* Take the next received frame, of however many buffers; its length, 0: there is none.  *rest: what its last descriptor says. */
static inline unsigned
rx_next(uint8_t *p, uint64_t *rest)
{
	unsigned len = 0;
	uint64_t d[2];

	do {
		gpa_read(RX_RING + 16 * rx_head, d, 16);
		if ((d[1] & DD) == 0) {
			CHECK_EQ(len, 0);
			return (0);
		}
		gpa_read(d[0], p + len, d[1] & 0xffff);
		len += d[1] & 0xffff;
		*rest = d[1];
		d[1] = 0;
		gpa_write(RX_RING + 16 * rx_head, d, 16);
		w(RDT, rx_head);
		rx_head = (rx_head + 1) % RING;
	} while ((*rest & DD << 1) == 0);
	fx_turn(cur);
	return (len);
}

static inline bool
rx_frame(const void *p, size_t len)
{
	bool taken = wire_receive(p, len);

	net_receive_flush(wire.net);
	return (taken);
}

static inline void
frame(uint8_t *p, unsigned len, const uint8_t *dst, unsigned seed)
{
	memcpy(p, dst, 6);
	for (unsigned i = 6; i < len; i++)
		p[i] = (uint8_t)(i * 7 + seed);
}

/* Checksums, the slow and plain way. */
static inline uint32_t
sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (sum);
}

static inline unsigned
be16(const uint8_t *p)
{
	return ((unsigned)p[0] << 8 | p[1]);
}

static inline void
put_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Sum of TCP or UDP with its pseudo header, which is 0xffff if it is right: n bytes from l4 on. */
static inline uint32_t
l4_sum(const uint8_t *ip, const uint8_t *l4, unsigned n)
{
	bool six = ip[0] >> 4 == 6;
	uint32_t sum = six ? sum16(ip + 8, 32, ip[6]) : sum16(ip + 12, 8, ip[9]);

	return (sum16(l4, n, sum + n));
}

/*
 * Headers of a frame with n bytes behind them, of IP version 4 or 6 and TCP (6) or UDP (17), all checksums right; its length.
 */
static inline unsigned
packet(uint8_t *p, unsigned version, unsigned protocol, unsigned n)
{
	unsigned l3 = version == 4 ? 20 : 40, l4 = protocol == 6 ? 20 : 8, len = 14 + l3 + l4 + n;
	uint8_t *ip = p + 14, *t = ip + l3;

	frame(p, len, mac, n);
	put_be16(p + 12, version == 4 ? 0x0800 : 0x86dd);
	memset(ip, 0, l3 + l4);
	if (version == 4) {
		ip[0] = 0x45;
		put_be16(ip + 2, len - 14);
		put_be16(ip + 4, 0x1234);
		ip[8] = 64;
		ip[9] = (uint8_t)protocol;
		memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
		put_be16(ip + 10, ~sum16(ip, 20, 0) & 0xffff);
	} else {
		ip[0] = 0x60;
		put_be16(ip + 4, l4 + n);
		ip[6] = (uint8_t)protocol;
		ip[7] = 64;
		for (unsigned i = 0; i < 32; i++)
			ip[8 + i] = (uint8_t)(i * 3);
	}
	put_be16(t, 4000);
	put_be16(t + 2, 80);
	if (protocol == 6) {
		put_be16(t + 4, 0xffff);		/* a sequence number that carries */
		put_be16(t + 6, 0xff00);
		t[12] = 0x50;
		t[13] = 0x19;				/* ACK, PSH, FIN */
		put_be16(t + 16, ~l4_sum(ip, t, l4 + n) & 0xffff);
	} else {
		put_be16(t + 4, l4 + n);
		put_be16(t + 6, ~l4_sum(ip, t, l4 + n) & 0xffff);
	}
	return (len);
}

#endif /* _E1000_DRIVER_H_ */
