# SPDX-License-Identifier: BSD-2-Clause
#
# test/prove/prove.mk - `make prove`: check the park protocol with spin, and that each weakening
# of it fails. Included by the top Makefile; works alone with make -f, from the top folder.

PROVE_OUT ?= build/prove

.PHONY: prove
prove:
	test/prove/prove.py --out $(PROVE_OUT)
