# The library and what is installed. Included by the Makefile.
#
#   make library       libwen.a and libwen.so.X in the build folder
#   make manuals       manual pages and completions, from the program's help
#   make install       program, library, header, manuals and documents under $(DESTDIR)$(PREFIX)
#   make uninstall     takes them away again
#   make dist          a release tarball of the last commit: the same bytes wherever it is made
#   make deb           Debian packages from it, in build/deb
#
# PYTHONDIR: where Python finds packages; if it is set, the Python package is installed there.

VERSION := $(shell sed -n 's/^.define WEN_VERSION "\(.*\)"/\1/p' include/wen.h)
# The library's binary interface, the number in its soname: goes up when programs must be compiled anew.
ABI := 0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
DOCDIR ?= $(DATADIR)/doc/wen
MANDIR ?= $(DATADIR)/man/man1
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
INSTALL ?= install

# ---- The library ---------------------------------------------------------------------------------

# From wen.h down, and nothing that the program alone needs.
LIBRARY_FOLDERS := api backend base cpu dist engine formats model tensor text
LIBRARY_PACKAGES := jansson libutf8proc libpcre2-8
LIBRARY_OBJECTS := $(foreach f,$(LIBRARY_FOLDERS),$(filter $(B)/src/$(f)/%,$(OBJECTS))) $(B)/builtin.o
LIBRARY_SO := $(B)/libwen.so.$(VERSION)
LIBRARY := $(B)/libwen.a $(LIBRARY_SO)

.PHONY: library manuals install uninstall dist deb
library: $(LIBRARY)

$(LIBRARY_OBJECTS): CFLAGS += -fPIC

# One object in which all that is hidden is local: a program's own names cannot meet the library's.
$(B)/libwen.a: $(LIBRARY_OBJECTS)
	@echo "  AR $@"
	@$(CC) -r -nostdlib -o $(B)/libwen.o $^
	@objcopy --localize-hidden $(B)/libwen.o
	@rm -f $@
	@ar rcs $@ $(B)/libwen.o

$(LIBRARY_SO): $(LIBRARY_OBJECTS)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -shared -Wl,-soname,libwen.so.$(ABI) -Wl,-z,defs -Wl,-Bsymbolic-functions \
	  -Wl,--exclude-libs,ALL -o $@ $^ $(shell pkg-config --libs $(LIBRARY_PACKAGES)) -lm -pthread

# ---- Installing ----------------------------------------------------------------------------------

manuals: $(B)/man/wen.1 $(B)/completions/wen.bash
$(B)/man/wen.1: $(B)/wen packaging/man_pages packaging/command_table packaging/wen.1.in
	@echo "  MAN $(@D)"
	@rm -rf $(@D)
	@packaging/man_pages $< $(@D)
$(B)/completions/wen.bash: $(B)/wen packaging/completions packaging/command_table
	@echo "  COMPLETIONS $(@D)"
	@packaging/completions $< $(@D)

into = $(INSTALL) -d $(DESTDIR)$(2) && $(INSTALL) -m $(1) $(3) $(DESTDIR)$(2)

install: $(B)/wen library manuals
	$(call into,755,$(BINDIR),$(B)/wen)
	$(call into,644,$(INCLUDEDIR),include/wen.h)
	$(call into,644,$(LIBDIR),$(LIBRARY))
	ln -sf libwen.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libwen.so.$(ABI)
	ln -sf libwen.so.$(ABI) $(DESTDIR)$(LIBDIR)/libwen.so
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@LIBDIR@|$(LIBDIR)|' \
	  -e 's|@VERSION@|$(VERSION)|; s|@LIBRARY_PACKAGES@|$(LIBRARY_PACKAGES)|' \
	  packaging/wen.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/wen.pc
	$(call into,644,$(MANDIR),$(B)/man/*.1)
	$(INSTALL) -d $(DESTDIR)$(BASHDIR)
	$(INSTALL) -m 644 $(B)/completions/wen.bash $(DESTDIR)$(BASHDIR)/wen
	$(call into,644,$(ZSHDIR),$(B)/completions/_wen)
	$(call into,644,$(FISHDIR),$(B)/completions/wen.fish)
	$(if $(PYTHONDIR),$(call into,644,$(PYTHONDIR)/wen,python/wen/*.py))
	$(call into,644,$(DOCDIR),README.md $(wildcard docs/*.md))
	$(call into,644,$(DOCDIR)/examples,docs/wen.service $(wildcard examples/*))

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/wen $(DESTDIR)$(INCLUDEDIR)/wen.h $(DESTDIR)$(LIBDIR)/pkgconfig/wen.pc \
	  $(addprefix $(DESTDIR)$(LIBDIR)/,libwen.a libwen.so libwen.so.$(ABI) libwen.so.$(VERSION))
	rm -f $(DESTDIR)$(MANDIR)/wen.1 $(DESTDIR)$(MANDIR)/wen-*.1 $(DESTDIR)$(BASHDIR)/wen \
	  $(DESTDIR)$(ZSHDIR)/_wen $(DESTDIR)$(FISHDIR)/wen.fish
	rm -rf $(DESTDIR)$(DOCDIR) $(if $(PYTHONDIR),$(DESTDIR)$(PYTHONDIR)/wen)

# ---- Releases ------------------------------------------------------------------------------------

TARBALL := build/dist/wen-$(VERSION).tar.gz

# From git alone, so that no file of a build gets in; times are the commit's.
dist:
	@mkdir -p $(dir $(TARBALL))
	git archive --format=tar --prefix=wen-$(VERSION)/ HEAD | gzip -9n >$(TARBALL).part
	mv $(TARBALL).part $(TARBALL)

deb: dist
	packaging/make_deb $(TARBALL) $(VERSION)
