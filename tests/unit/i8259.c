/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8259A pair by its datasheet.
 */
#include <test.h>

#include "amd64/amd64.h"
#include "amd64/i8259.h"

#define	MASTER	0
#define	SLAVE	1
#define	BASE0	0x30
#define	BASE1	0x78

static struct i8259_pair pair;
static uint16_t ended;

static void
cmd(unsigned chip, uint8_t val)
{
	i8259_write(&pair, chip, 0, val, &ended);
}

static void
data(unsigned chip, uint8_t val)
{
	i8259_write(&pair, chip, 1, val, &ended);
}

static void
line(unsigned irq, bool level)
{
	i8259_set(&pair, irq, level);
}

static int
ack(void)
{
	return (i8259_ack(&pair, &ended));
}

static uint8_t
irr(unsigned chip)
{
	cmd(chip, 0x0a);
	return (i8259_read(&pair, chip, 0, &ended));
}

static uint8_t
isr(unsigned chip)
{
	cmd(chip, 0x0b);
	return (i8259_read(&pair, chip, 0, &ended));
}

static void
start_with(uint8_t icw4_master, uint8_t icw4_slave)
{
	memset(&pair, 0, sizeof(pair));
	ended = 0;
	i8259_reset(&pair);
	cmd(MASTER, 0x11);
	data(MASTER, BASE0);
	data(MASTER, 0x04);
	data(MASTER, icw4_master);
	cmd(SLAVE, 0x11);
	data(SLAVE, BASE1);
	data(SLAVE, 0x02);
	data(SLAVE, icw4_slave);
}

static void
start(void)
{
	start_with(0x01, 0x01);
}

TEST(nothing_before_the_initialisation_is_complete)
{
	memset(&pair, 0, sizeof(pair));
	i8259_reset(&pair);
	line(3, true);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x11);
	data(MASTER, BASE0);
	data(MASTER, 0x04);
	line(4, true);
	CHECK(!i8259_intr(&pair));
	data(MASTER, 0x01);
	/* Input 3 was high before ICW1, which asks for a new edge; input 4 rose after it. */
	CHECK(i8259_intr(&pair));
	CHECK_EQ(irr(MASTER), 0x10);
}

TEST(icw4_is_not_expected_without_ic4)
{
	memset(&pair, 0, sizeof(pair));
	i8259_reset(&pair);
	cmd(MASTER, 0x10);
	data(MASTER, BASE0);
	data(MASTER, 0x04);
	line(1, true);
	CHECK_EQ(ack(), BASE0 + 1);
	/* The next write to A0=1 is a mask. */
	data(MASTER, 0xa5);
	CHECK_EQ(i8259_read(&pair, MASTER, 1, &ended), 0xa5);
}

TEST(a_single_chip_skips_icw3)
{
	memset(&pair, 0, sizeof(pair));
	i8259_reset(&pair);
	cmd(MASTER, 0x12);
	data(MASTER, BASE0);
	line(2, true);
	line(5, true);
	CHECK_EQ(ack(), BASE0 + 5);
}

TEST(an_edge_is_one_interrupt)
{
	start();
	CHECK(!i8259_intr(&pair));
	line(3, true);
	CHECK(i8259_intr(&pair));
	CHECK_EQ(irr(MASTER), 0x08);
	CHECK_EQ(ack(), BASE0 + 3);
	CHECK(!i8259_intr(&pair));
	CHECK_EQ(irr(MASTER), 0);
	CHECK_EQ(isr(MASTER), 0x08);
	cmd(MASTER, 0x20);
	CHECK_EQ(isr(MASTER), 0);
	CHECK_EQ(ended, 0x08);
	CHECK(!i8259_intr(&pair));		/* still high: no new edge */
	line(3, false);
	line(3, true);
	CHECK_EQ(ack(), BASE0 + 3);
}

TEST(a_pulse_stays_latched)
{
	start();
	line(4, true);
	line(4, false);
	CHECK(i8259_intr(&pair));
	CHECK_EQ(ack(), BASE0 + 4);
}

TEST(a_level_is_a_request_while_it_lasts)
{
	start();
	i8259_set_elcr(&pair, MASTER, 0x20);
	line(5, true);
	CHECK(i8259_intr(&pair));
	line(5, false);
	CHECK(!i8259_intr(&pair));
	line(5, true);
	CHECK_EQ(ack(), BASE0 + 5);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x65);			/* specific EOI: still high, so again */
	CHECK(i8259_intr(&pair));
	CHECK_EQ(ack(), BASE0 + 5);
	line(5, false);
	cmd(MASTER, 0x65);
	CHECK(!i8259_intr(&pair));
}

TEST(some_inputs_have_no_level_mode)
{
	start();
	i8259_set_elcr(&pair, MASTER, 0xff);
	i8259_set_elcr(&pair, SLAVE, 0xff);
	CHECK_EQ(pair.chip[MASTER].elcr, 0xf8);
	CHECK_EQ(pair.chip[SLAVE].elcr, 0xde);
}

TEST(higher_priorities_interrupt_lower_ones)
{
	start();
	line(4, true);
	CHECK_EQ(ack(), BASE0 + 4);
	line(6, true);
	CHECK(!i8259_intr(&pair));
	line(1, true);
	CHECK(i8259_intr(&pair));
	CHECK_EQ(ack(), BASE0 + 1);
	CHECK_EQ(isr(MASTER), 0x12);
	cmd(MASTER, 0x20);			/* ends 1, the highest */
	CHECK_EQ(isr(MASTER), 0x10);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 6);
}

TEST(masks_hold_requests_back)
{
	start();
	data(MASTER, 0x08);
	line(3, true);
	CHECK(!i8259_intr(&pair));
	CHECK_EQ(irr(MASTER), 0x08);
	data(MASTER, 0);
	CHECK_EQ(ack(), BASE0 + 3);
}

TEST(the_slave_comes_through_input_2)
{
	start();
	line(12, true);
	CHECK_EQ(irr(MASTER), 0x04);
	CHECK_EQ(ack(), BASE1 + 4);
	CHECK_EQ(isr(MASTER), 0x04);
	CHECK_EQ(isr(SLAVE), 0x10);
	/* A lower one of the slave waits for both ends. */
	line(14, true);
	CHECK(!i8259_intr(&pair));
	cmd(SLAVE, 0x20);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x62);
	CHECK_EQ(ended, 0x1004);
	CHECK_EQ(ack(), BASE1 + 6);
	cmd(SLAVE, 0x20);
	cmd(MASTER, 0x20);
	/* Between 1 and 3 in the master's order. */
	line(3, true);
	line(8, true);
	line(1, true);
	CHECK_EQ(ack(), BASE0 + 1);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE1 + 0);
	cmd(SLAVE, 0x20);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 3);
}

TEST(the_slave_takes_its_request_back)
{
	start();
	line(9, true);
	CHECK(i8259_intr(&pair));
	data(SLAVE, 0x02);
	CHECK(!i8259_intr(&pair));
	data(SLAVE, 0);
	CHECK_EQ(ack(), BASE1 + 1);
}

TEST(special_fully_nested_mode_lets_the_slave_interrupt_itself)
{
	start_with(0x11, 0x01);
	line(12, true);
	CHECK_EQ(ack(), BASE1 + 4);
	line(9, true);
	CHECK(i8259_intr(&pair));
	CHECK_EQ(ack(), BASE1 + 1);
	/* Without it, not before the master's EOI. */
	start();
	line(12, true);
	CHECK_EQ(ack(), BASE1 + 4);
	line(9, true);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE1 + 1);
}

TEST(a_request_that_went_away_is_interrupt_7)
{
	start();
	CHECK_EQ(ack(), BASE0 + 7);
	CHECK_EQ(isr(MASTER), 0);
	/* The real one is told from it by ISR. */
	line(7, true);
	CHECK_EQ(ack(), BASE0 + 7);
	CHECK_EQ(isr(MASTER), 0x80);
}

TEST(automatic_eoi)
{
	start_with(0x03, 0x01);
	line(2 + 1, true);
	line(4, true);
	CHECK_EQ(ack(), BASE0 + 3);
	CHECK_EQ(isr(MASTER), 0);
	CHECK_EQ(ended, 0x08);
	CHECK_EQ(ack(), BASE0 + 4);
}

TEST(rotation_on_eoi)
{
	start();
	line(2 + 2, true);
	CHECK_EQ(ack(), BASE0 + 4);
	cmd(MASTER, 0xa0);			/* rotate on non-specific EOI: 4 is now lowest, 5 highest */
	line(4, false);
	line(4, true);
	line(6, true);
	line(0, true);
	CHECK_EQ(ack(), BASE0 + 6);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 0);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 4);
	cmd(MASTER, 0xe4);			/* rotate on specific EOI */
	CHECK_EQ(isr(MASTER), 0);
	CHECK_EQ(pair.chip[MASTER].lowest, 4);
}

TEST(set_priority)
{
	start();
	cmd(MASTER, 0xc5);			/* 5 lowest, 6 highest */
	line(0, true);
	line(5, true);
	line(7, true);
	CHECK_EQ(ack(), BASE0 + 7);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 0);
	cmd(MASTER, 0x20);
	CHECK_EQ(ack(), BASE0 + 5);
}

TEST(rotation_in_automatic_eoi_mode)
{
	start_with(0x03, 0x01);
	cmd(MASTER, 0x80);
	line(1, true);
	CHECK_EQ(ack(), BASE0 + 1);
	CHECK_EQ(pair.chip[MASTER].lowest, 1);
	cmd(MASTER, 0x00);
	line(4, true);
	CHECK_EQ(ack(), BASE0 + 4);
	CHECK_EQ(pair.chip[MASTER].lowest, 1);
}

TEST(special_mask_mode)
{
	start();
	line(4, true);
	CHECK_EQ(ack(), BASE0 + 4);
	line(6, true);
	CHECK(!i8259_intr(&pair));
	cmd(MASTER, 0x68);			/* set it */
	data(MASTER, 0x10);			/* 4 is masked: everyone else may interrupt */
	CHECK_EQ(ack(), BASE0 + 6);
	CHECK_EQ(isr(MASTER), 0x50);
	cmd(MASTER, 0x20);			/* does not end the masked 4 */
	CHECK_EQ(isr(MASTER), 0x10);
	cmd(MASTER, 0x48);			/* clear it */
	cmd(MASTER, 0x20);
	CHECK_EQ(isr(MASTER), 0);
}

TEST(polling)
{
	start();
	cmd(MASTER, 0x0c);
	CHECK_EQ(i8259_read(&pair, MASTER, 0, &ended), 0);
	line(5, true);
	cmd(MASTER, 0x0c);
	CHECK_EQ(i8259_read(&pair, MASTER, 0, &ended), 0x85);
	CHECK(!i8259_intr(&pair));
	CHECK_EQ(isr(MASTER), 0x20);
	/* One poll, one read. */
	cmd(MASTER, 0x20);
	CHECK_EQ(isr(MASTER), 0);
	line(10, true);
	cmd(SLAVE, 0x0c);
	CHECK_EQ(i8259_read(&pair, SLAVE, 0, &ended), 0x82);
	CHECK(!i8259_intr(&pair));
}

TEST(icw1_starts_again)
{
	start();
	line(3, true);
	CHECK_EQ(ack(), BASE0 + 3);
	data(MASTER, 0xff);
	cmd(MASTER, 0xc2);
	start();
	CHECK_EQ(isr(MASTER), 0);
	CHECK_EQ(i8259_read(&pair, MASTER, 1, &ended), 0);
	CHECK_EQ(pair.chip[MASTER].lowest, 7);
}

TEST(reset_keeps_the_levels_of_the_inputs)
{
	start();
	line(3, true);
	i8259_reset(&pair);
	CHECK_EQ(pair.chip[MASTER].line, 0x08);
	CHECK_EQ(pair.chip[MASTER].irr, 0);
}

TEST(its_state_is_carried_over)
{
	struct i8259_pair copy;
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *buf;
	size_t len;

	start();
	i8259_set_elcr(&pair, SLAVE, 0x06);
	line(9, true);
	(void)ack();
	line(3, true);
	out = vm_state_out_open();
	CHECK(out != NULL);
	CHECK_EQ(vm_state_put(out, &i8259_pair_table, "x", &pair), 0);
	buf = vm_state_out_data(out, &len);
	in = vm_state_in_open(buf, len);
	CHECK(in != NULL);
	memset(&copy, 0, sizeof(copy));
	CHECK_EQ(vm_state_get(in, &i8259_pair_table, "x", &copy), 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
	CHECK(memcmp(&copy, &pair, sizeof(pair)) == 0);
}

TEST(impossible_state_is_refused)
{
	struct i8259_pair good, copy;

	start();
	good = pair;
	for (int i = 0; i < 4; i++) {
		struct vm_state_out *out = vm_state_out_open();
		struct vm_state_in *in;
		const void *buf;
		size_t len;

		pair = good;
		if (i == 0)
			pair.chip[0].lowest = 8;
		else if (i == 1)
			pair.chip[1].step = 5;
		else if (i == 2)
			pair.chip[0].elcr = 0x01;
		else
			pair.chip[0].base = 0x31;
		CHECK_EQ(vm_state_put(out, &i8259_pair_table, "x", &pair), 0);
		buf = vm_state_out_data(out, &len);
		in = vm_state_in_open(buf, len);
		CHECK(in != NULL);
		copy = good;
		CHECK_EQ(vm_state_get(in, &i8259_pair_table, "x", &copy), -1);
		CHECK_EQ(errno, EILSEQ);
		CHECK(memcmp(&copy, &good, sizeof(good)) == 0);
		vm_state_in_close(in);
		vm_state_out_close(out);
	}
}

/* Whatever is written and raised, the chips stay in range and never report what is not there. */
TEST(random_programming)
{
	uint64_t x = 88172645463325252ULL;

	start();
	for (int i = 0; i < 2000000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		switch (x >> 8 & 7) {
		case 0:
		case 1:
			i8259_write(&pair, x & 1, x >> 1 & 1, (uint8_t)(x >> 16), &ended);
			break;
		case 2:
			(void)i8259_read(&pair, x & 1, x >> 1 & 1, &ended);
			break;
		case 3:
			i8259_set_elcr(&pair, x & 1, (uint8_t)(x >> 16));
			break;
		case 4:
			if (i8259_intr(&pair)) {
				uint8_t v = (uint8_t)ack();

				CHECK((v & 0xf8) == pair.chip[0].base || (v & 0xf8) == pair.chip[1].base);
			}
			break;
		default:
			line(x >> 16 & 15, x >> 24 & 1);
			break;
		}
		CHECK(pair.chip[0].lowest < 8 && pair.chip[1].lowest < 8);
		CHECK(pair.chip[0].step <= 4 && pair.chip[1].step <= 4);
	}
}

TEST_MAIN()
