/* The commands below `wen data`: argv[0] is the command's name, as in commands.h. */
#ifndef WEN_CLI_DATA_COMMANDS_H
#define WEN_CLI_DATA_COMMANDS_H

int data_decontaminate(int argc, char **argv);
int data_dedup(int argc, char **argv);
int data_families(int argc, char **argv);
int data_inspect(int argc, char **argv);
int data_label(int argc, char **argv);
int data_make(int argc, char **argv);
int data_mix(int argc, char **argv);
int data_pdf(int argc, char **argv);
int data_review(int argc, char **argv);
int data_sample(int argc, char **argv);
int data_synth(int argc, char **argv);

#endif
