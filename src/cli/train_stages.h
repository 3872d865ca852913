/* The stages of `wen train STAGE ...`. Each has a file train_STAGE.c (or shares one) and a line in
 * cmd_train.c's table; it is called like a command, with argv[0] the stage's name. */
#ifndef WEN_CLI_TRAIN_STAGES_H
#define WEN_CLI_TRAIN_STAGES_H

int train_pretrain(int argc, char **argv);
int train_sft(int argc, char **argv);
int train_reward(int argc, char **argv);
int train_rl(int argc, char **argv);
int train_distill(int argc, char **argv);
int train_sweep(int argc, char **argv);
int train_tokenizer(int argc, char **argv);

#endif
